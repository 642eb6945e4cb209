"""The contrastive loss at perfect agreement, with the positive once and twice."""

import math

import pytest
import torch

from studykit.losses.alignment import info_nce
from studykit.studies.mim_masking.alignment_floor import losses_by_agreement, positive_among_negatives


def test_with_orthogonal_parents_the_floor_is_as_by_hand():
    parents, n, temperature = torch.eye(8), 8, 0.1
    own, other = math.exp(1 / temperature), n - 1
    twice = positive_among_negatives(parents, parents, temperature).item()
    assert twice == pytest.approx(-math.log(own / (2 * own + other)), rel=1e-4)
    assert twice > math.log(2)
    assert info_nce(parents, parents, temperature=temperature).item() < 1e-3


def test_both_losses_fall_with_agreement_and_only_one_gets_below_log_two():
    found = losses_by_agreement(torch.tensor([0.0, 0.5, 1.0]), 32, 48, torch.Generator().manual_seed(0))
    for values in found.values():
        assert (values.diff() < 0).all()
    assert found["positive among the negatives"][-1] > math.log(2) > 10 * found["positive once"][-1]
    assert (found["positive among the negatives"] > found["positive once"]).all()


def test_children_have_the_cosine_that_was_asked_for(monkeypatch):
    from studykit.studies.mim_masking import alignment_floor

    seen = []
    monkeypatch.setattr(
        alignment_floor,
        "info_nce",
        lambda child, parent, temperature: (
            seen.append(torch.cosine_similarity(child, parent)) or torch.zeros(())
        ),
    )
    losses_by_agreement(torch.tensor([-0.5, 0.7]), 5, 6, torch.Generator().manual_seed(0))
    for cosines, expected in zip(seen, (-0.5, 0.7), strict=True):
        assert torch.allclose(cosines, torch.full((5,), expected), atol=1e-6)


@pytest.mark.parametrize(("cosine", "width"), [(1.5, 8), (0.5, 1)])
def test_numbers_out_of_range_are_refused(cosine, width):
    with pytest.raises(ValueError, match="cosines lie in"):
        losses_by_agreement(torch.tensor([cosine]), 4, width, torch.Generator())
