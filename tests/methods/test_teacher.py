"""The running mean against its closed form."""

import pytest
import torch
from torch import nn

from studykit.methods.teacher import follow, rising_momentum


def test_a_teacher_is_the_weighted_mean_of_all_students():
    student = nn.ModuleDict({"net": nn.Linear(1, 1, bias=False), "other": nn.Linear(1, 1)})
    teacher = nn.ModuleDict({"net": nn.Linear(1, 1, bias=False)})
    nn.init.constant_(teacher["net"].weight, 8.0)
    for value in (0.0, 4.0):
        nn.init.constant_(student["net"].weight, value)
        follow(teacher, student, 0.5)
    assert teacher["net"].weight.item() == 0.25 * 8 + 0.25 * 0 + 0.5 * 4
    assert student["net"].weight.item() == 4.0 and student["net"].weight.requires_grad


def test_the_momentum_rises_to_one_and_never_falls():
    own = [rising_momentum(step, 200, 0.1) for step in range(201)]
    assert own == sorted(own) and own[0] == pytest.approx(1 - 1 / 20) and own[-1] == 1
    assert own[100] == pytest.approx((own[0] + 1) / 2)
    assert rising_momentum(0, 5, 0.1) == 0  # no horizon shorter than a step
    assert torch.tensor(own).isfinite().all()
