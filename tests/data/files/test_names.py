"""What is left of a name without modality, session, side and channel."""

import pytest

from studykit.data.files.names import case_of, channel_cases, is_numbered, is_session, says_nothing, tells


def test_channels_count_only_where_several_cases_have_them_or_the_folder_says_so():
    names = ["a_0000", "a_0001", "b_0000", "b_0002"]
    assert channel_cases(["scan_0000", "scan_0001"], certain=False) == {}
    assert channel_cases(["scan_0000", "scan_0001"], certain=True) == {
        "scan_0000": "scan",
        "scan_0001": "scan",
    }
    assert channel_cases([*names, "c_0000"], certain=False)["b_0002"] == "b"
    assert channel_cases(["a_0000", "b_0000", "b_1999"], certain=False) == {}
    assert channel_cases(["a_0000", "a_0002", "b_0000", "b_0002"], certain=False)["a_0002"] == "a"
    assert channel_cases(["amos_0008", "amos_0009", "amos_0012"], certain=True) == {}
    assert channel_cases(["amos_0000", "amos_0009", "amos_0012"], certain=True) == {}


@pytest.mark.parametrize(
    ("name", "case"),
    [("P01_ses-2_T1w", "P01"), ("scan_m12", "scan_m12"), ("T1", ""), ("image", ""), ("a b left", "a b")],
)
def test_the_case_of_a_name(name, case):
    assert case_of(name) == case


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("anat", False),
        ("ses-1", False),
        ("20190102", False),
        ("T1w", False),
        ("train", False),
        ("P01", True),
        ("v1", True),
    ],
)
def test_a_folder_may_be_a_subjects(folder, told):
    assert tells(folder) is told


def test_sessions_groups_and_words_that_say_nothing():
    assert is_session("v1") and is_session("3") and is_session("scan2") and not is_session("s1")
    assert is_numbered("P01") and not is_numbered("site1") and not is_numbered("anna")
    assert (
        says_nothing("T2_2")
        and says_nothing("flair_scan1")
        and says_nothing("ses-1")
        and not says_nothing("P01")
    )
