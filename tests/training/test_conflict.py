"""Resolution on the Gram matrix against vectors projected one by one, PCGrad, and the zones' ends."""

import itertools
import math

import pytest
import torch
from conflict_oracle import projected_one_by_one
from torch import Tensor

from studykit.training.conflict import ConflictRule, arbiter_scores, conflict_angle, resolve

RULE = ConflictRule()
CRITICAL, MAIN, WEAK = RULE.thresholds


def pair_of(cosine: float, norms: tuple[float, float] = (1.0, 2.0)) -> Tensor:
    """Two gradients in the plane, (2, 2) float64."""
    sine = math.sqrt(1 - cosine**2)
    first, second = norms
    return torch.tensor([[first, 0.0], [second * cosine, second * sine]], dtype=torch.float64)


def resolved(gradients: Tensor, scores: Tensor | None = None, rule: ConflictRule = RULE) -> Tensor:
    """Resolved gradients; without scores the earlier row wins."""
    tasks = len(gradients)
    if scores is None:
        scores = torch.arange(tasks, 0, -1.0, dtype=torch.float64)[:, None].expand(tasks, tasks)
    wins = torch.zeros(tasks, dtype=torch.int64)
    return resolve(gradients @ gradients.T, scores, wins, rule).combination @ gradients


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_as_projecting_vectors_one_by_one(tasks: int) -> None:
    generator = torch.Generator().manual_seed(tasks)
    for _ in range(25):
        gradients = torch.randn(tasks, 4, generator=generator, dtype=torch.float64)
        scores = torch.rand(tasks, tasks, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(resolved(gradients, scores), projected_one_by_one(gradients, scores))


@pytest.mark.parametrize(
    ("cosine", "angle"),
    [
        (-1.0, math.pi),
        (CRITICAL, math.pi),
        (-0.65, 0.625 * math.pi),  # halfway: π/2 + π/2 · (1/2)²
        (MAIN, math.pi / 2),
        (-0.25, math.pi / 4),
        (-0.05, 0.05 * math.pi),
        (WEAK, 0.0),
        (0.7, 0.0),
    ],
)
def test_angle_of_each_zone_and_at_its_ends(cosine: float, angle: float) -> None:
    assert float(conflict_angle(torch.tensor(cosine, dtype=torch.float64), RULE)) == pytest.approx(angle)


@pytest.mark.parametrize("cosine", [-1.0, -0.9, CRITICAL])
def test_critical_conflict_leaves_the_winner_whole(cosine: float) -> None:
    gradients = pair_of(cosine)
    winner, loser = resolved(gradients)
    torch.testing.assert_close(winner, gradients[0])
    torch.testing.assert_close(loser, gradients[1] * torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_at_main_both_become_orthogonal_to_the_other() -> None:
    gradients = pair_of(MAIN)
    products = resolved(gradients) @ gradients.T
    torch.testing.assert_close(products.diagonal().flip(0), gradients.square().sum(1).flip(0) * (1 - MAIN**2))
    torch.testing.assert_close(products[[0, 1], [1, 0]], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("cosine", [WEAK, 0.4, 1.0])
def test_agreeing_gradients_are_left_alone(cosine: float) -> None:
    gradients = pair_of(cosine)
    assert torch.equal(resolved(gradients), gradients)


@pytest.mark.parametrize("threshold", [CRITICAL, MAIN, WEAK])
def test_no_jump_where_zones_meet(threshold: float) -> None:
    below, above = resolved(pair_of(threshold - 1e-9)), resolved(pair_of(threshold + 1e-9))
    torch.testing.assert_close(below, above, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("cosine", "jumps"), [(-0.9, True), (-0.6, True), (MAIN, False), (-0.2, False)])
def test_only_below_main_it_matters_who_wins(cosine: float, jumps: bool) -> None:
    first_wins, second_wins = (
        torch.tensor(s, dtype=torch.float64) for s in ([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    )
    change = resolved(pair_of(cosine), first_wins) - resolved(pair_of(cosine), second_wins)
    assert (float(change.abs().max()) > 0.01) == jumps


def test_the_worst_pair_is_first() -> None:
    gradients = torch.tensor([[1.0, 0.0, 0.0], [-0.9, 0.4, 0.0], [-0.1, 0.0, 1.0]], dtype=torch.float64)
    first = resolved(gradients)[1]
    torch.testing.assert_close(first[0], torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.fixture(params=[-0.95, -0.7, -0.5, -0.3, -0.02])
def pair_at_main(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """Two gradients whose cosine is θ_main, raw and resolved."""
    rule = ConflictRule(thresholds=(request.param - 0.02, request.param, 0.0))
    gradients = pair_of(request.param, (0.3, 5.0))
    return gradients, resolved(gradients, rule=rule)


def test_at_main_each_is_projected_on_the_raw_other_as_in_pcgrad(pair_at_main: tuple[Tensor, Tensor]) -> None:
    gradients, found = pair_at_main
    product, squares = gradients[0] @ gradients[1], gradients.square().sum(1, keepdim=True)
    torch.testing.assert_close(found, gradients - product / squares.flip(0) * gradients.flip(0))


def test_at_main_the_sum_is_that_of_torchjd(pair_at_main: tuple[Tensor, Tensor]) -> None:
    aggregation = pytest.importorskip(
        "torchjd.aggregation", reason="torchjd is not installed: pip install -e '.[peers]'"
    )
    gradients, found = pair_at_main
    torch.testing.assert_close(found.sum(0), aggregation.PCGrad()(gradients))


def test_order_of_tasks_is_irrelevant() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        gradients = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        scores = torch.rand(4, 4, generator=generator, dtype=torch.float64)
        order = torch.randperm(4, generator=generator)
        torch.testing.assert_close(
            resolved(gradients[order], scores[order][:, order]), resolved(gradients, scores)[order]
        )


def test_ties_are_broken_by_size_not_by_place() -> None:
    even = torch.zeros(2, 2, dtype=torch.float64)
    gradients = pair_of(-0.9)
    torch.testing.assert_close(resolved(gradients, even)[1], gradients[1])
    torch.testing.assert_close(resolved(gradients.flip(0), even)[0], gradients[1])
    # Both pairs with the first have the cosine -1: the greater product is resolved first, and the loser of it
    # has nothing left to resolve with the third.
    line = torch.tensor([[2.0], [-1.0], [-3.0]], dtype=torch.float64)
    even = torch.zeros(3, 3, dtype=torch.float64)
    for order in itertools.permutations(range(3)):
        expected = torch.tensor([[0.0], [-1.0], [-3.0]], dtype=torch.float64)[list(order)]
        torch.testing.assert_close(resolved(line[list(order)], even), expected, rtol=0, atol=1e-12)


def test_scale_of_one_loss_scales_only_its_gradient() -> None:
    gradients = torch.randn(3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    scale = torch.tensor([[1e-6], [1.0], [1e4]], dtype=torch.float64)
    torch.testing.assert_close(resolved(scale * gradients), scale * resolved(gradients))


def test_what_is_resolved_away_or_zero_conflicts_no_more() -> None:
    # Opposed but for fp32's rounding: what is left of the loser points anywhere, here against the third.
    first, third = torch.tensor([[0.392297, -0.223564, -0.3195], [1.205037, -1.044464, 0.633228]])
    opposed = torch.stack([first, -1.1 * first, third]).double()
    torch.testing.assert_close(resolved(opposed)[[0, 2]], opposed[[0, 2]])
    opposed[1] = 0
    assert torch.equal(resolved(opposed), opposed)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_is_resolved_where_a_gradient_is_not_finite(bad: float) -> None:
    gradients = torch.cat([pair_of(-0.6), torch.full((1, 2), bad, dtype=torch.float64)])
    gram = gradients @ gradients.T
    found = resolve(gram, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.int64), RULE)
    assert int(found.count) == 0
    assert torch.equal(found.combination, torch.eye(3, dtype=torch.float64))


def test_count_and_limit_of_resolutions() -> None:
    wins = torch.zeros(2, dtype=torch.int64)
    counts = []
    for cosine in (0.5, -0.9, -0.02):
        gradients = pair_of(cosine)
        counts.append(int(resolve(gradients @ gradients.T, torch.zeros(2, 2), wins, RULE).count))
    assert counts[0] == 0
    assert 1 <= counts[1] <= 2, "the second could only be a rounding error's"
    assert counts[2] == 4, "a weak conflict is lessened 2 N times, never wholly resolved"


def test_who_won_too_often_loses() -> None:
    rule = ConflictRule(win_limit=2)
    gradients = pair_of(-0.9)
    scores, wins = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.zeros(2, dtype=torch.int64)
    first_kept = []
    for _ in range(6):
        found = resolve(gradients @ gradients.T, scores, wins, rule)
        wins = found.wins
        first_kept.append(torch.allclose(found.combination[0], torch.eye(2, dtype=torch.float64)[0]))
    assert first_kept == [True, True, False, True, True, False]
    mild = pair_of(-0.3)
    assert resolve(mild @ mild.T, scores, wins, rule).wins.equal(wins), "nobody wins where both give way"


def test_arbiter_weighs_stability_and_strength() -> None:
    stability, strength = torch.tensor([0.5, -0.3, 0.0]), torch.tensor([1.0, 3.0, 0.0])
    scores = arbiter_scores(stability, strength, RULE)
    assert scores[0, 1].item() == pytest.approx(0.8 * 0.5 + 0.2 * 0.25)
    assert scores[1, 0].item() == pytest.approx(0.8 * 0.0 + 0.2 * 0.75)
    assert scores[2, 1].item() == 0
    assert arbiter_scores(stability, torch.zeros(3), RULE)[2, 1].item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"thresholds": (-0.5, -0.8, 0.0)}, "thresholds is"),
        ({"thresholds": (-0.8, -0.5, 0.2)}, "thresholds is"),
        ({"thresholds": (-0.8, -0.5)}, "thresholds is"),
        ({"exponent": 0.0}, "exponent is 0.0, it must be above 0"),
        ({"arbiter": (0.0, 0.0)}, "arbiter is"),
        ({"win_limit": -1}, "win_limit is -1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ConflictRule(**changes)
