"""The contestants compute the same, each the gradients that it is timed for; rounds are in turn."""

import pytest
import torch

from studykit.layers import minkowski
from studykit.studies.spark_sparsity.conv_backends import (
    CHANNELS,
    DENSE,
    HALO,
    KEPT,
    MINKOWSKI,
    masked_volume,
    race,
    turns,
)


def test_the_volume_has_the_share_of_visible_patches_and_is_always_the_same():
    x, visible = masked_volume(24, 0.25)
    assert x.shape == (1, CHANNELS, 24, 24, 24) and visible.shape == (1, 3, 3, 3)
    assert visible.sum() == round(0.25 * 27)
    assert torch.equal(x, masked_volume(24, 0.25)[0]) and not torch.equal(
        x, masked_volume(24, 0.25, seed=1)[0]
    )
    assert masked_volume(16, 0.01)[1].sum() == 1


def test_every_contestant_gives_the_same_three_gradients():
    own = turns(16, 0.4)
    expected = [DENSE, HALO, KEPT.format(HALO)]
    if minkowski.available():
        expected += [MINKOWSKI, KEPT.format(MINKOWSKI)]
    assert list(own) == expected
    reference = own[DENSE]()
    assert [g.shape for g in reference] == [
        (1, CHANNELS, 16, 16, 16), (CHANNELS, CHANNELS, 3, 3, 3), (CHANNELS,)
    ]  # fmt: skip
    assert all(gradient.abs().sum() > 0 for gradient in reference)
    for name in expected[1:]:
        for gradient, wanted in zip(own[name](), reference, strict=True):
            torch.testing.assert_close(gradient, wanted, atol=2e-3, rtol=1e-4, msg=name)


def test_without_the_engine_the_others_are_timed(monkeypatch):
    monkeypatch.setattr(minkowski, "available", lambda: False)
    assert list(turns(16, 0.5)) == [DENSE, HALO, KEPT.format(HALO)]


def test_rounds_are_in_turn_and_those_of_the_warm_up_are_not_kept():
    calls = []
    seconds = race({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=3, warm_up=1)
    assert calls == ["a", "b"] * 4
    assert {name: len(own) for name, own in seconds.items()} == {"a": 3, "b": 3}
    assert min(seconds["a"] + seconds["b"]) >= 0


def test_times_are_those_of_the_turn(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 15.0])
    monkeypatch.setattr(
        "studykit.studies.spark_sparsity.conv_backends.time.perf_counter", lambda: next(clock)
    )
    found = race({"a": lambda: None, "b": lambda: None}, rounds=1, warm_up=0)
    assert found == {"a": [pytest.approx(1)], "b": [pytest.approx(5)]}
