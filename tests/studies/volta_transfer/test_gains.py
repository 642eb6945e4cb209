"""Tables of seeds × subjects from test scores, and gains over both."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from studykit.studies.volta_transfer.gains import best_on_validation, crossed_gain, gain_row, subject_table


def classified(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"subject": list("dacb"), "score": rng.uniform(size=4), "label": [1, 0, 1, 0]})


def segmented(values) -> pd.DataFrame:
    rows = [(s, c, v) for s, own in values.items() for c, v in own.items()]
    return pd.DataFrame(rows, columns=["subject", "class", "dice"])


def test_a_row_of_a_classification_is_its_auroc():
    tables = [classified(seed) for seed in range(3)]
    expected = [roc_auc_score(table["label"], table["score"]) for table in tables]
    assert subject_table(tables).mean(axis=1) == pytest.approx(expected)


def test_a_segmentation_is_read_by_structure_in_the_order_of_subjects():
    one = segmented({"b": {"hippocampus": 0.5, "putamen": 0.9}, "a": {"hippocampus": 0.7, "putamen": 0.1}})
    assert subject_table([one, one]).tolist() == [[0.7, 0.5]] * 2
    assert subject_table([one], structure="putamen").tolist() == [[0.1, 0.9]]


def test_what_is_refused():
    with pytest.raises(ValueError, match="no scores"):
        subject_table([])
    with pytest.raises(ValueError, match="other subjects"):
        subject_table([classified(0), classified(0).replace("a", "x")])
    with pytest.raises(ValueError, match="paired"):
        crossed_gain(np.zeros((2, 3)), np.zeros((2, 4)), kind="mechanism")


def test_a_gain_in_a_row():
    gain = crossed_gain(np.zeros((3, 4)), np.full((3, 4), 0.1), kind="mechanism")
    row = gain_row("ours", "theirs", "sex", "100%", "held out", gain)
    assert (row["gain"], row["low"], row["high"], row["n"]) == pytest.approx((0.1, 0.1, 0.1, 3))
    assert best_on_validation({"x": [0.3, 0.3], "y": [0.1, 0.6]}) == "x"
