"""Vertebrae out of a map of two classes: counted from below; missed, merged and split ones show."""

import numpy as np
import pytest

from studykit.studies.spine_ablation.vertebrae import breaks, instances, smallest, structure_rows, whole

LEVELS = {1: "L5", 2: "L4", 3: "L3", 4: "L2", 5: "cord"}
UNITED = {"L5": 2, "L4": 1, "L3": 2, "L2": 1, "cord": 3}
VOXEL_ML = 0.027


def spine():
    """(D, H, W): four vertebrae of 6 slices from below, 2 apart, and a cord behind them."""
    truth = np.zeros((34, 14, 12), int)
    for number in range(4):
        truth[2 + 8 * number : 8 + 8 * number, 2:9, 2:10] = number + 1
    truth[2:32, 10:13, 4:8] = 5
    return truth


def in_classes(truth):
    return np.array([0, *(UNITED[name] for name in LEVELS.values())])[truth]


def rows_of(found):
    return {row["class"]: row for row in structure_rows(found, spine(), LEVELS, UNITED, VOXEL_ML)}


def test_vertebrae_are_counted_from_below():
    pieces, whose = instances(in_classes(spine()), (1, 2), VOXEL_ML)
    assert whose == [2, 1, 2, 1] and breaks(whose) == 0
    assert np.array_equal(pieces, np.where(spine() < 5, spine(), 0))


def test_a_perfect_map_scores_full_with_true_volumes():
    found = rows_of(in_classes(spine()))
    assert list(found) == ["L5", "L4", "cord", "L3", "L2"], "from below"
    assert {row["dice"] for row in found.values()} == {1.0} and not any(r["missed"] for r in found.values())
    assert found["L5"]["ml"] == pytest.approx(6 * 7 * 8 * VOXEL_ML)


def test_a_missed_vertebra_has_nothing_and_the_others_keep_theirs():
    found = in_classes(spine())
    found[spine() == 2] = 0
    scores = rows_of(found)
    assert (scores["L4"]["dice"], scores["L4"]["missed"]) == (0, 1)
    assert all(scores[name]["dice"] == 1 for name in ("L5", "L3", "L2", "cord"))
    assert breaks(instances(found, (1, 2), VOXEL_ML)[1]) == 1


def test_of_two_vertebrae_grown_together_one_is_missed():
    found = in_classes(spine())
    found[8:18, 2:9, 2:10] = 2  # L4 is called as its neighbours are, and joins them
    scores = rows_of(found)
    assert len(instances(found, (1, 2), VOXEL_ML)[1]) == 2
    assert [name for name, row in scores.items() if row["missed"]] != []
    assert sum(row["dice"] for name, row in scores.items() if name in ("L5", "L4", "L3")) < 0.6
    assert scores["L2"]["dice"] == 1


def test_a_split_vertebra_gets_its_larger_piece_alone():
    found = in_classes(spine())
    found[21] = 0  # one slice of L3
    assert rows_of(found)["L3"]["dice"] == pytest.approx(2 * 3 / (6 + 3))


def test_a_vertebra_called_by_the_other_class_is_found_all_the_same():
    found = in_classes(spine())
    found[spine() == 4] = 2
    assert rows_of(found)["L2"]["dice"] == 1, "counted in order, its class does not matter"
    assert breaks(instances(found, (1, 2), VOXEL_ML)[1]) == 1, "but the count says that something is amiss"


def test_crumbs_are_no_vertebrae():
    found = in_classes(spine())
    found[0, 0, 0] = 1
    assert instances(found, (1, 2), VOXEL_ML)[1] == [2, 1, 2, 1]


def test_what_the_field_of_view_cuts_is_not_scored_but_keeps_its_piece():
    truth = spine()[4:]
    found = {r["class"]: r for r in structure_rows(in_classes(truth), truth, LEVELS, UNITED, VOXEL_ML)}
    assert "L5" not in found and found["L3"]["dice"] == 1
    assert "cord" in found, "the cord always goes on"
    assert not whole(truth, 1, VOXEL_ML) and whole(truth, 2, VOXEL_ML)


def test_nothing_found_is_all_missed():
    scores = rows_of(np.zeros_like(spine()))
    assert all(row["dice"] == 0 and row["missed"] == 1 for row in scores.values())


def test_the_smallest_are_of_the_subject_and_at_least_one():
    rows = structure_rows(in_classes(spine()), spine(), LEVELS, UNITED, VOXEL_ML)
    assert smallest(rows, 0.01) == ["L5"] and len(smallest(rows, 0.4)) == 2
