"""Noise of a known size, the same at every level but for it, and Dice of classes that are there."""

import numpy as np
import pytest
import torch

from studykit.data.volumes.cache import PreparedVolume
from studykit.studies.spine_ablation.robustness import called_foreground, dice_measure, noisy


def volume(name="ann"):
    labels = np.zeros((12, 10, 8), np.int16)
    labels[2:6, 2:8, 2:6] = 1
    return PreparedVolume(name, np.zeros(labels.shape, np.float32), labels > -1, labels, np.eye(4), "CT", "")


def test_noise_has_its_level_and_belongs_to_the_subject():
    image = torch.zeros(1, 30, 30, 30)
    first, twice, bob = (
        noisy(0.5)(image, volume()),
        noisy(1.0)(image, volume()),
        noisy(0.5)(image, volume("bob")),
    )
    assert first.std() == pytest.approx(0.5, rel=0.02) and torch.allclose(2 * first, twice)
    assert not torch.equal(first, bob) and torch.equal(noisy(0.0)(image, volume()), image)


def test_dice_is_of_classes_that_the_truth_has():
    found = np.zeros((8, 10, 12), np.int64)
    found[2:6, 2:8, 2:4] = 1
    found[0] = 2
    (row,) = dice_measure(("one", "two"))(volume(), found)
    assert row == {"class": "one", "dice": pytest.approx(2 * 48 / (96 + 48))}


def test_what_is_called_any_class_is_held_against_what_is_one():
    found = np.zeros((8, 10, 12), np.int64)
    found[2:6, 2:8, 2:4] = 2
    assert called_foreground(volume(), found) == [
        {"class": "any", "called foreground": pytest.approx(48 / 96)}
    ]
