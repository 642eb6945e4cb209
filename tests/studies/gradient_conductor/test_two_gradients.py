"""Two gradients in a plane: what comes out helps both, and a mild conflict is left alone."""

import math

import pytest
import torch

from studykit.studies.gradient_conductor.two_gradients import products, reconciled, shares_given_up
from studykit.training.conflict import ConflictRule

RULE = ConflictRule()


@pytest.mark.parametrize("degrees", [50, 110, 155])
def test_gradients_are_that_far_apart(degrees):
    raw, resolved = reconciled(degrees, RULE)
    cosine = torch.cosine_similarity(raw[0], raw[1], dim=0)
    assert float(cosine) == pytest.approx(math.cos(math.radians(degrees))) and resolved.shape == (2, 2)
    assert float(raw[1].norm()) == pytest.approx(0.7)


def test_the_winner_of_a_hard_conflict_is_followed_a_mild_one_eased_and_none_left_alone():
    hard, mild, none = (
        {row["sum"]: row["weaker loss"] for row in products(*reconciled(degrees, RULE))}
        for degrees in (155, 110, 50)
    )
    assert hard["GCond"] < hard["plain sum"] < 0 < hard["UPGrad"], "UPGrad alone helps both"
    assert mild["GCond"] > mild["plain sum"]
    assert none["GCond"] == none["plain sum"] == none["UPGrad"]


def test_shares_lie_between_nothing_and_all():
    shares = shares_given_up(torch.linspace(-1, 1, 11, dtype=torch.float64), RULE)
    assert set(shares) == {"winner", "loser"}
    assert all(((own >= 0) & (own <= 1)).all() for own in shares.values())
    assert (shares["winner"] <= shares["loser"] + 1e-12).all(), "the winner never gives up more"
