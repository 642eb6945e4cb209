"""Means of a probe, both ways."""

from types import SimpleNamespace

import pytest

from studykit.studies.mvc_components import probing


def test_both_ways_count_alike(monkeypatch):
    def probed(heads, method, settings, *, mode, seed):
        assert (mode, seed) == ("frozen", 3)
        return {
            "ann": SimpleNamespace(mean_dice=0.2, mean_hd95=4.0),
            "bob": SimpleNamespace(mean_dice=0.6, mean_hd95=2.0),
        }

    monkeypatch.setattr(probing, "segment_both_ways", probed)
    assert probing.probe_means((), None, None, "frozen", 3) == {"Dice": pytest.approx(0.4), "HD95": 3.0}
