"""Signs of collapse: each end is told by its own sign, a healthy batch raises no alarm, all by hand."""

import math

import pytest
import torch

from studykit.metrics.collapse import collapse_signs


def healthy(count=16, dim=12, prototypes=32):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, dim, generator=generator)
    logits = 5 * torch.randn(count, prototypes, generator=generator)
    return features, logits, logits + torch.randn(count, prototypes, generator=generator)


def test_a_healthy_batch_raises_no_alarm_and_its_signs_are_those_of_the_formulas():
    features, teacher, student = healthy()
    signs = collapse_signs(features, teacher, student)
    assert signs.collapsed == ""
    rows = [row / row.norm() for row in features]
    cosines = [float(rows[i] @ rows[j]) for i in range(16) for j in range(16) if i != j]
    assert signs.cosine == pytest.approx(sum(cosines) / len(cosines), abs=1e-6)
    p, q = teacher.double().softmax(1), student.double().softmax(1)
    assert signs.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-6)
    assert signs.entropy == pytest.approx(float(-(p * p.log()).sum(1).mean()) / math.log(32), rel=1e-6)
    assert signs.usage > signs.entropy


def test_features_that_are_alike_are_a_constant_collapse_whatever_the_logits():
    features, teacher, student = healthy()
    alike = torch.ones_like(features) + 1e-3 * features
    assert collapse_signs(alike, teacher, student).collapsed == "constant"
    on_a_line = features[:, :1] * torch.ones(1, 12)
    assert collapse_signs(on_a_line, teacher, student).rank < 2
    assert collapse_signs(on_a_line, teacher, student).collapsed == "constant"


def test_one_prototype_for_all_is_a_constant_collapse():
    features, teacher, student = healthy()
    teacher[:, 3] += 50
    signs = collapse_signs(features, teacher, student)
    assert signs.usage < 0.01 and signs.collapsed == "constant"


def test_no_preference_anywhere_is_a_uniform_collapse_and_unsure_alone_is_not():
    features, teacher, student = healthy()
    assert collapse_signs(features, 1e-3 * teacher, 1e-3 * student).collapsed == "uniform"
    assert collapse_signs(features, 1e-3 * teacher, student).collapsed == "", (
        "the student has something to learn"
    )


def test_two_samples_show_nothing():
    features, teacher, student = healthy(count=2)
    with pytest.raises(ValueError, match="three at least, got 2"):
        collapse_signs(features, teacher, student)
