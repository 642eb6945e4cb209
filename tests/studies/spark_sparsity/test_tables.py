"""Tables of effects and of scores, of rows that say what must come out."""

import pandas as pd
import pytest

from studykit.studies.spark_sparsity.tables import by_layer, dice_by_structure, mean_distances


def test_values_stand_by_repetition_and_layer_in_the_order_asked_for():
    rows = [
        {"network": net, "way": way, "seed": seed, "layer": layer, "shift": value + 10 * seed + place}
        for net, value in (("b", 0.0), ("a", 100.0))
        for seed in (1, 0)
        for way in ("zero-filled", "sparse")
        for place, layer in enumerate(("stem", "1.1"))
    ]
    found = by_layer(pd.DataFrame(rows), "shift", ["1.1", "stem"])
    assert list(found) == ["b", "a"] and list(found["a"]) == ["zero-filled", "sparse"]
    assert found["a"]["sparse"].tolist() == [[111, 110], [101, 100]]


def table(shift=0.0):
    rows = [("ann", "one", 0.2, 3.0, 0.5), ("ann", "two", 0.4, 5.0, 0.7), ("bob", "one", 0.6, 8.0, 0.9)]
    frame = pd.DataFrame(rows, columns=["subject", "class", "dice", "hd95", "surface_dice"])
    return frame.assign(dice=frame["dice"] + shift)


def test_means_are_over_classes_then_subjects_then_seeds():
    assert mean_distances([table(), table()]) == {"HD95 (mm)": 6.0, "surface Dice": pytest.approx(0.75)}


def test_a_structure_has_one_value_a_seed():
    found = dice_by_structure([table(), table(0.1)])
    assert found["one"] == pytest.approx([0.4, 0.5]) and found["two"] == pytest.approx([0.4, 0.5])
