"""Paths of runs and views of a correlation that is known by construction."""

import pandas as pd
import pytest

from studykit.studies.effective_rank.views import correlations, paths


@pytest.fixture
def encoders():
    """Within each run the rank falls as accuracy rises; the arm with the higher ranks is the better one."""
    rows = [
        {"arm": arm, "seed": seed, "step": step, "rank": base - step + seed, "probe": base + step + seed}
        for arm, base in (("B", 10.0), ("A", 100.0))
        for seed in (0, 1, 2)
        for step in (1, 2, 3, 4)
    ]
    return pd.DataFrame(rows)


def test_a_path_is_a_run_in_the_order_of_training(encoders):
    found = paths(encoders, "rank", "probe")
    assert list(found) == ["B", "A"] and len(found["A"]) == 3
    x, y = found["B"][1]
    assert x.tolist() == [10, 9, 8, 7] and y.tolist() == [12, 13, 14, 15]


def test_views_of_the_correlation_differ_by_what_repeats(encoders):
    found = correlations(encoders, "rank", "probe", "mechanism")
    assert found["within a run (mean over runs)"].value == pytest.approx(-1)
    assert found["all encoders"].value > 0 and found["all encoders"].n == 24
    assert found["at the end, A"].value == pytest.approx(1) and found["at the end, A"].n == 3
    alone = correlations(encoders[encoders["seed"] == 0], "rank", "probe", "mechanism")
    assert not [view for view in alone if view.startswith("at the end")], "one seed has no correlation"
