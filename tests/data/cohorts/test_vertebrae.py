"""Vertebrae by the ids of public data sets: neighbours differ, and what is no labelled spine is named."""

import itertools

import numpy as np
import pytest

from studykit.data.cohorts.designs import DESIGNS
from studykit.data.cohorts.structures import VERTEBRAE
from studykit.data.cohorts.vertebrae import EVEN, ODD, SPINE_SCHEMES, in_turn, turns


def column(ids, tall=4):
    """A map (X, Y, Z) with one block of ``tall`` slices an id, from below."""
    labels = np.zeros((6, 6, tall * len(ids)), np.int16)
    for place, value in enumerate(ids):
        labels[1:5, 1:5, place * tall : (place + 1) * tall] = value
    return labels


@pytest.mark.parametrize("extra", [(), ("T13",), ("L6",), ("T13", "L6")])
@pytest.mark.parametrize("missing", [(), ("T12",), ("L5",)])
def test_neighbours_are_of_two_classes_whoever_is_there(extra, missing):
    if "T13" in extra and missing == ("T12",):
        pytest.skip("nobody has T13 without T12")
    spine = [
        level for level in (*VERTEBRAE[:19], "T13", *VERTEBRAE[19:], "L6") if level in {*VERTEBRAE, *extra}
    ]
    spine = [level for level in spine if level not in missing]
    found = turns(spine)
    assert list(found) == spine
    if missing != ("L5",) or "L6" not in extra:
        assert all(found[one] != found[two] for one, two in itertools.pairwise(spine))
    for name, levels in DESIGNS["spines"].united:
        if not extra and not missing:
            assert all(found[level] == name for level in levels), "as the cohort of spines has them"


def test_verse_and_spider_call_one_spine_alike():
    verse, spider = column([24, 23, 22]), column([1, 2, 103])
    both = [in_turn(labels, name, 3.0, "x") for labels, name in ((verse, "verse"), (spider, "spider"))]
    assert np.array_equal(*both) and both[0][2, 2, ::4].tolist() == [2, 1, 2], "L5 is the twenty-fourth"
    assert SPINE_SCHEMES["verse"].classes == (ODD, EVEN)


def test_canal_and_discs_of_spider():
    found = in_turn(column([1, 201, 2, 100]), "spider", 3.0, "x")
    assert found[2, 2, ::4].tolist() == [2, 0, 1, 3] and SPINE_SCHEMES["spider"].classes[2] == "spinal canal"


@pytest.mark.parametrize(
    ("labels", "scheme", "message"),
    [
        (
            column([1], tall=60),
            "verse",
            r"ann has one vertebra, id 1, and it is 180 mm tall: the whole spine",
        ),
        (column([100]), "spider", r"ann has no vertebra; its ids are 0, 100"),
        (column([0]), "verse", r"ann has no vertebra; its ids are 0$"),
        (column([1, 26]), "verse", r"ann has ids that verse does not have: 26"),
    ],
)
def test_what_is_no_labelled_spine_is_named(labels, scheme, message):
    with pytest.raises(ValueError, match=message):
        in_turn(labels, scheme, 3.0, "ann")


def test_one_vertebra_alone_is_no_error():
    assert set(np.unique(in_turn(column([20], tall=20), "verse", 3.0, "ann"))) == {0, 2}
