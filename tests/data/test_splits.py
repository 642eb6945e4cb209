from collections import Counter
from itertools import pairwise

import pytest

from studykit.data.splits import (
    Split,
    nested_subsets,
    refuse_overlap,
    split_subjects,
    stratified_folds,
    stratified_split,
)

IDS = [f"s{i}" for i in range(20)]


def test_parts_are_disjoint_and_complete():
    split = split_subjects(IDS, seed=0, val=3, test=4)
    assert [len(part) for part in (split.train, split.val, split.test)] == [13, 3, 4]
    assert sorted(split.train + split.val + split.test) == sorted(IDS)


def test_order_and_repeats_do_not_matter_but_the_seed_does():
    split = split_subjects(IDS, seed=0, val=3, test=4)
    assert split == split_subjects([*reversed(IDS), *IDS], seed=0, val=3, test=4)
    assert split != split_subjects(IDS, seed=1, val=3, test=4)


def test_the_split_of_a_seed_never_changes():
    split = split_subjects(IDS[:10], seed=0, val=2, test=1)
    assert (split.val, split.test) == (("s3", "s5"), ("s0",))


def test_images_of_one_subject_stay_together():
    split = split_subjects(["a", "a", "b", "c", "c", "c"], seed=3, val=1, test=1)
    assert sorted([*split.train, *split.val, *split.test]) == ["a", "b", "c"]


def test_shares():
    split = split_subjects(IDS, seed=0, val=0.25, test=0.01)
    assert [len(part) for part in (split.train, split.val, split.test)] == [14, 5, 1]
    assert split_subjects(IDS, seed=0, val=0.25).test == ()


@pytest.mark.parametrize(("val", "test"), [(20, 0), (10, 10), (15, 0.3)])
def test_too_few_subjects_are_said(val, test):
    with pytest.raises(ValueError, match="20 subjects are too few"):
        split_subjects(IDS, seed=0, val=val, test=test)


@pytest.mark.parametrize("share", [-1, 1.0, 2.5, -0.1, "1"])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ValueError, match="val must be a number of subjects or a share below 1"):
        split_subjects(IDS, seed=0, val=share)


@pytest.mark.parametrize("named", [("s7",), ("s2", "s19", "s0", "s11")])
def test_who_is_to_be_held_out_is_and_the_parts_keep_their_sizes(named):
    split = split_subjects(IDS, seed=0, val=3, test=4, hold_out=named)
    assert set(named) <= set(split.test)
    assert [len(part) for part in (split.train, split.val, split.test)] == [13, 3, 4]
    assert sorted(split.train + split.val + split.test) == sorted(IDS)
    assert split == split_subjects([*reversed(IDS)], seed=0, val=3, test=4, hold_out=[*named, *named])


def test_holding_out_whom_the_seed_holds_out_changes_nothing():
    plain = split_subjects(IDS, seed=0, val=3, test=4)
    assert split_subjects(IDS, seed=0, val=3, test=4, hold_out=plain.test[:2]) == plain
    assert split_subjects(IDS, seed=0, val=3, test=4, hold_out=()) == plain


def test_who_cannot_be_held_out_is_named():
    with pytest.raises(ValueError, match=r"ann, bob cannot be held out: known are s0, s1, s10"):
        split_subjects(IDS, seed=0, val=3, test=4, hold_out=("bob", "s1", "ann"))
    with pytest.raises(ValueError, match="3 subjects to hold out do not fit 2 to test"):
        split_subjects(IDS, seed=0, val=3, test=2, hold_out=("s1", "s2", "s3"))


def test_save_and_load(tmp_path):
    split = split_subjects(IDS, seed=0, val=3, test=4)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split


@pytest.mark.parametrize("text", ["[]", "{}", '{"train": [], "val": []}', "no json"])
def test_loading_something_else_is_an_error(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(ValueError):
        Split.load(tmp_path / "split.json")


def test_loading_a_leaking_split_is_an_error(tmp_path):
    (tmp_path / "split.json").write_text('{"train": ["a", "b"], "val": ["b"], "test": []}')
    with pytest.raises(ValueError, match="'b' is in two parts"):
        Split.load(tmp_path / "split.json")


def test_smaller_subsets_lie_in_larger_ones():
    subsets = nested_subsets(IDS, (0.05, 0.4, 0.1, 0.2, 1.0), seed=0)
    assert [len(subset) for subset in subsets.values()] == [1, 8, 2, 4, 20]
    rising = [set(subsets[fraction]) for fraction in sorted(subsets)]
    assert all(small < large for small, large in pairwise(rising)) and rising[-1] == set(IDS)


@pytest.mark.parametrize(
    ("fraction", "total", "count"), [(0.05, 30, 2), (0.29, 50, 15), (0.1, 14, 1), (0.1, 8, 1)]
)
def test_halves_are_rounded_up(fraction, total, count):
    assert len(nested_subsets(map(str, range(total)), [fraction], seed=0)[fraction]) == count


def test_subsets_depend_on_the_seed_and_not_on_the_order():
    one = nested_subsets(IDS, (0.2, 0.5), seed=0)
    assert one == nested_subsets([*reversed(IDS), *IDS], (0.2, 0.5), seed=0)
    assert one != nested_subsets(IDS, (0.2, 0.5), seed=1)
    assert one[0.2] == ("s0", "s11", "s15", "s19"), "the subsets of a seed never change"


def test_an_empty_fraction_is_said():
    with pytest.raises(ValueError, match=r"5 % of 8 subjects is none: the smallest .* has one is 6\.25 %"):
        nested_subsets(IDS[:8], (0.05, 1.0), seed=0)
    assert len(nested_subsets(IDS[:8], [0.0625], seed=0)[0.0625]) == 1
    with pytest.raises(ValueError, match="no subjects to choose"):
        nested_subsets([], (0.5,), seed=0)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, 20])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(ValueError, match=f"above 0 and up to 1, got {fraction}"):
        nested_subsets(IDS, (fraction,), seed=0)


def test_pre_training_on_the_test_split_is_refused():
    refuse_overlap(["a", "b"], ["c"])
    with pytest.raises(ValueError, match=r"saw 2 subject\(s\) of the test split: b, c\. Leave them out"):
        refuse_overlap(["a", "c", "b"], ["b", "c", "d", "b"])


STRATA = {f"s{i}": ("mf"[i % 2], "hd"[i % 3 > 1]) for i in range(31)}


def test_folds_are_disjoint_complete_and_of_one_mixture():
    folds = stratified_folds(STRATA, 4, seed=0)
    assert sorted(entry for fold in folds for entry in fold) == sorted(STRATA)
    counts = [Counter(STRATA[entry] for entry in fold) for fold in folds]
    for stratum in set(STRATA.values()):
        own = [count[stratum] for count in counts]
        assert max(own) - min(own) <= 1
    assert {len(fold) for fold in folds} == {7, 8}


def test_folds_depend_on_the_seed_and_not_on_the_order():
    folds = stratified_folds(STRATA, 3, seed=0)
    assert folds == stratified_folds(dict(reversed(STRATA.items())), 3, seed=0)
    assert folds != stratified_folds(STRATA, 3, seed=1)
    assert stratified_folds({f"s{i}": ("ab"[i % 2],) for i in range(6)}, 3, seed=0) == (
        ("s0", "s5"), ("s1", "s2"), ("s3", "s4"),
    ), "the folds of a seed never change"  # fmt: skip


def test_a_fold_with_one_class_only_is_named():
    few = {**{f"s{i}": ("healthy",) for i in range(10)}, "s10": ("ill",), "s11": ("ill",)}
    assert all(
        {few[e] for e in fold} == {("healthy",), ("ill",)} for fold in stratified_folds(few, 2, seed=0)
    )
    with pytest.raises(
        ValueError, match=r"fold . of 3 has none of ill: 10 are healthy, 2 are ill of 12 subjects"
    ):
        stratified_folds(few, 3, seed=0)
    with pytest.raises(ValueError, match="all 4 subjects are 'm': one class only"):
        stratified_folds({f"s{i}": ("m", "ab"[i % 2]) for i in range(4)}, 2, seed=0)


@pytest.mark.parametrize(("strata", "folds"), [({}, 2), (STRATA, 1), ({"a": ("m",), "b": ("f", "x")}, 2)])
def test_what_cannot_be_folded_is_refused(strata, folds):
    with pytest.raises(ValueError, match=f"got {folds} folds of {len(strata)} subjects"):
        stratified_folds(strata, folds, seed=0)


def strata(count: int = 40) -> dict[str, tuple[str, str]]:
    return {f"s{i:02d}": (("f", "m")[i % 2], ("well", "ill")[i % 4 // 2]) for i in range(count)}


def test_a_stratified_split_has_every_stratum_in_each_part():
    of = strata()
    split = stratified_split(of, seed=3, val=8, test=12)
    parts = (split.train, split.val, split.test)
    assert [len(part) for part in parts] == [20, 8, 12]
    assert sorted(entry for part in parts for entry in part) == sorted(of)
    for part in parts:
        counts = Counter(of[entry] for entry in part)
        assert len(counts) == 4 and max(counts.values()) - min(counts.values()) <= 1
    assert split == stratified_split(dict(reversed(of.items())), seed=3, val=8, test=12)
    assert split != stratified_split(of, seed=4, val=8, test=12)
    with pytest.raises(ValueError, match="too few"):
        stratified_split(strata(10), seed=0, val=4, test=6)


def test_stratified_subsets_are_nested_and_have_every_stratum():
    of = strata()
    subsets = nested_subsets(of, (0.2, 0.5, 1.0), seed=0, strata=of)
    assert set(subsets[0.2]) < set(subsets[0.5]) < set(subsets[1.0]) == set(of)
    assert Counter(of[entry] for entry in subsets[0.2]) == {stratum: 2 for stratum in set(of.values())}
