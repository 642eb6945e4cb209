"""Counts kept on disk: found again by what they are made of, made again where anything of it differs."""

import functools

import pytest
import torch
from tiny_study import BERTSWIN
from torch import nn

from studykit import home
from studykit.masking import random_patch_mask
from studykit.methods import build_method
from studykit.metrics import activations, compute, remembered
from studykit.metrics.activations import kept_bytes
from studykit.metrics.compute import count_flops


@pytest.fixture
def counted(monkeypatch, results):
    """What was counted in earnest, in a cache of this test's own."""
    made = []
    monkeypatch.setenv("STUDYKIT_DATA", str(results / "cache"))
    for place in (compute, activations):
        count = place._count

        def noted(*args, count=count, **kwargs):
            made.append(count.__module__.rpartition(".")[2])
            return count(*args, **kwargs)

        monkeypatch.setattr(place, "_count", noted)
    return made


def layers(bias=True, act=nn.ReLU):
    return nn.Sequential(nn.Linear(4, 8, bias=bias), act())


def test_a_second_count_of_the_same_is_read(counted):
    first, second = (count_flops(layers(), (3, 4), backward=True) for _ in range(2))
    assert first == second and first.total > 0 and counted == ["compute"]
    assert kept_bytes(layers(), (3, 4)) == kept_bytes(layers(), (3, 4))
    assert counted == ["compute", "activations"]


def test_whatever_differs_is_counted_anew(counted, monkeypatch):
    count_flops(layers(), (3, 4))
    for model, shape, backward in [
        (layers(bias=False), (3, 4), False),
        (layers(act=functools.partial(nn.LeakyReLU, 0.2)), (3, 4), False),
        (layers().eval(), (3, 4), False),
        (layers().requires_grad_(False), (3, 4), False),
        (layers(), (5, 4), False),
        (layers(), (3, 4), True),
    ]:
        before = len(counted)
        count_flops(model, shape, backward=backward)
        assert len(counted) == before + 1
    monkeypatch.setattr(remembered, "code", lambda: "another version")
    count_flops(layers(), (3, 4))
    assert len(counted) == 8


def test_the_mask_counts_and_a_method_can_be_named(counted):
    draw = torch.Generator().manual_seed(0)
    masks = [random_patch_mask((4, 4, 4), ratio, 1, draw) for ratio in (0.5, 0.75)]
    totals = []
    for mask in [*masks, *masks]:
        method = build_method("bertswin", img_size=16, patch_size=4, **BERTSWIN)
        totals.append(count_flops(method, (1, 1, 16, 16, 16), mask=mask).total)
    assert totals[:2] == totals[2:] and len(counted) == 2


def test_a_class_of_ones_own_and_a_damaged_file_are_counted_each_time(counted):
    class Own(nn.Linear):
        pass

    for _ in range(2):
        count_flops(Own(4, 8), (3, 4))
    assert len(counted) == 2
    count_flops(layers(), (3, 4))
    (file,) = (home.data_dir() / "counts").glob("*.json")
    file.write_text("{")
    assert count_flops(layers(), (3, 4)).total == 2 * 3 * 4 * 8 and len(counted) == 4
