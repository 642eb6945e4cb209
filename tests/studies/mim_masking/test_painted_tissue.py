"""Errors over the hidden voxels of a label."""

import math

import pytest
import torch

from studykit.studies.mim_masking.painted_tissue import hidden_errors_by_label

NAMES = {"air": 0, "vessel": 1, "sac": 2}


def case():
    """Two volumes of 4³ with 2³ patches; the first patch of each is hidden, the second has no vessel."""
    original = torch.zeros(2, 1, 4, 4, 4)
    labels = torch.zeros(2, 4, 4, 4, dtype=torch.int64)
    hidden = torch.zeros(2, 2, 2, 2, dtype=torch.bool)
    hidden[:, 0, 0, 0] = True
    labels[0, 0, 0, :2] = labels[0, 3, 3, 3] = 1
    painted = original.clone()
    painted[0, 0, 0, 0, 0], painted[0, 0, 3, 3, 3] = 3.0, 100.0
    painted[1, 0, 1, 1, 1] = 2.0
    return painted, original, hidden, labels


def test_a_mean_is_over_hidden_voxels_of_the_label_then_over_volumes_that_have_some():
    errors = hidden_errors_by_label(*case(), NAMES)
    assert errors["vessel"] == 9 / 2, "visible voxels and volumes without a vessel do not count"
    assert errors["air"] == (0 / 6 + 4 / 8) / 2
    assert math.isnan(errors["sac"])


def test_shapes_that_do_not_fit_are_refused():
    painted, original, hidden, labels = case()
    with pytest.raises(ValueError, match="must be"):
        hidden_errors_by_label(painted, original, hidden, labels[:, None], NAMES)
    with pytest.raises(ValueError, match="must be"):
        hidden_errors_by_label(painted[:1], original, hidden, labels, NAMES)
