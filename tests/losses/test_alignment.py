"""Alignment against brute force in float64, at its floor, without a visible cell, and over two processes."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from toy_rows import align_a_half, rows
from two_ranks import run_ranks

from studykit.losses.alignment import CrossLevelAlignment, cosine_distance, info_nce, spread_cells


def brute_force(child, parent, temperature, valid=None):
    """One row at a time: -log of the positive's share among the positive and all other valid parents."""
    child, parent = child.detach().double(), parent.detach().double()
    losses = []
    for i in range(len(child)):
        if valid is not None and not valid[i]:
            continue
        cosine = [float(child[i] @ p / (child[i].norm() * p.norm())) for p in parent]
        others = [j for j in range(len(parent)) if j != i and (valid is None or valid[j])]
        negatives = sum(math.exp(cosine[j] / temperature) for j in others)
        positive = math.exp(cosine[i] / temperature)
        losses.append(-math.log(positive / (positive + negatives)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_info_nce_is_the_brute_force_one(temperature):
    child, parent = rows()
    loss = info_nce(child, parent, temperature=temperature)
    assert float(loss) == pytest.approx(brute_force(child, parent, temperature), rel=1e-5)


def test_rows_that_are_not_valid_are_neither_queries_nor_negatives():
    child, parent = rows()
    valid = torch.tensor([True, False, True, True, False, True, True])
    loss = info_nce(child, parent, valid)
    assert float(loss) == pytest.approx(brute_force(child, parent, 0.1, valid), rel=1e-5)
    changed = [torch.where(valid[:, None], x, 100 * torch.ones(5)) for x in (child, parent)]
    torch.testing.assert_close(info_nce(*changed, valid), loss)


def test_the_floor_is_near_zero_where_the_positive_among_the_negatives_leaves_log_two():
    """64 random features of 32 dimensions: log(1 + 63 exp((cos - 1) / 0.1)) in the mean, about 0.014."""
    features = torch.randn(200, 64, 32, generator=torch.Generator().manual_seed(0))
    floor = torch.stack([info_nce(f, f) for f in features]).mean()
    assert float(floor) == pytest.approx(0.014, abs=0.003)
    twice = torch.stack([torch.logsumexp(row, 0) - 10 for f in features[:20] for row in doubled(f)]).mean()
    assert float(twice) == pytest.approx(0.70, abs=0.01)
    orthogonal = torch.eye(64)
    assert float(info_nce(orthogonal, orthogonal)) == pytest.approx(
        math.log(1 + 63 * math.exp(-10)), rel=1e-3
    )


def doubled(features):
    """Logits with the positive put first and left among the negatives, as the blueprint has it."""
    cosines = F.normalize(features, dim=-1) @ F.normalize(features, dim=-1).T
    return torch.cat([cosines.diagonal()[:, None], cosines], 1) / 0.1


def test_gradients_reach_child_and_parent_or_the_child_alone():
    child, parent = (x.clone().requires_grad_() for x in rows())
    info_nce(child, parent).backward()
    assert child.grad.abs().min() > 0 and parent.grad.abs().min() > 0
    child.grad = parent.grad = None
    cosine_distance(child, parent).backward()
    assert child.grad.abs().sum() > 0 and parent.grad is None


def test_cosine_distance_lies_between_zero_and_four():
    child, _ = rows()
    assert float(cosine_distance(child, 3 * child)) == pytest.approx(0, abs=1e-6)
    assert float(cosine_distance(child, -child)) == pytest.approx(4)
    valid = torch.arange(7) < 3
    opposite = torch.where(valid[:, None], child, -child)
    assert float(cosine_distance(child, opposite, valid)) == pytest.approx(0, abs=1e-6)


def test_without_a_valid_row_the_loss_is_zero_and_keeps_its_graph():
    for objective in (info_nce, cosine_distance):
        child, parent = (x.clone().requires_grad_() for x in rows())
        loss = objective(child, parent, torch.zeros(7, dtype=torch.bool))
        loss.backward()
        assert loss == 0 and torch.equal(child.grad, torch.zeros_like(child))


def test_similarities_stay_in_float32_under_autocast():
    child, parent = rows(64, 32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = info_nce(child, parent)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, info_nce(child, parent))


def test_cells_are_visible_spread_and_filled_up():
    visible = torch.zeros(3, 2, 4, 4, dtype=torch.bool)
    visible[0] = True
    visible[1, 0] = True
    places, valid = spread_cells(visible, 8)
    assert places.shape == valid.shape == (3, 8)
    assert places[0].tolist() == list(range(0, 32, 4)) and places[1].tolist() == list(range(0, 16, 2))
    assert valid.sum(1).tolist() == [8, 8, 0]
    visible[2, 1, 3, 1:] = True
    places, valid = spread_cells(visible, 100)
    assert places.shape == (3, 32) and valid.sum(1).tolist() == [32, 16, 3]
    for b in range(3):
        assert torch.equal(visible.flatten(1)[b, places[b]], valid[b])
        assert len(set(places[b, valid[b]].tolist())) == valid[b].sum()


def maps_and_mask(batch=2):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(batch, c, n, n, n, generator=generator) for c, n in ((3, 8), (5, 4), (7, 2))]
    visible = torch.rand(batch, 2, 2, 2, generator=generator) < 0.6
    return maps, visible


def test_stages_are_compared_place_by_place():
    """With every cell sampled: brute force over children pooled by hand, and parents at the same place."""
    maps, visible = maps_and_mask()
    alignment = CrossLevelAlignment((3, 5, 7), dim=4, samples=1000)
    expected = []
    for level, cell in ((0, 2), (1, 1)):
        fine, coarse, children, parents = maps[level], maps[level + 1], [], []
        n = coarse.shape[-1]
        for b in range(len(fine)):
            for d, h, w in torch.cartesian_prod(*[torch.arange(n)] * 3).tolist():
                if visible[b, d // cell, h // cell, w // cell]:
                    box = fine[b, :, 2 * d : 2 * d + 2, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2]
                    children.append(box.mean((1, 2, 3)))
                    parents.append(coarse[b, :, d, h, w])
        child = alignment.heads[level](torch.stack(children))
        expected.append(brute_force(child, alignment.heads[level + 1](torch.stack(parents)), 0.1))
    assert alignment(maps, visible).item() == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_what_stands_in_hidden_cells_does_not_matter():
    maps, visible = maps_and_mask()
    alignment = CrossLevelAlignment((3, 5, 7), dim=4)
    hidden = [
        ~visible.repeat_interleave(k, 1).repeat_interleave(k, 2).repeat_interleave(k, 3) for k in (4, 2, 1)
    ]
    changed = [torch.where(h[:, None], 9.0, m) for h, m in zip(hidden, maps, strict=True)]
    torch.testing.assert_close(alignment(changed, visible), alignment(maps, visible))


def test_a_mask_finer_than_a_map_hides_the_cells_it_touches():
    maps, _ = maps_and_mask()
    fine = torch.rand(2, 4, 4, 4, generator=torch.Generator().manual_seed(5)) < 0.95
    alignment = CrossLevelAlignment((5, 7), dim=4)
    coarse = torch.stack([fine[:, i::2, j::2, k::2] for i in (0, 1) for j in (0, 1) for k in (0, 1)]).all(0)
    torch.testing.assert_close(alignment(maps[1:], fine), alignment(maps[1:], coarse))


@pytest.mark.parametrize("objective", ["infonce", "cosine"])
def test_every_trainable_head_gets_a_gradient_even_where_nothing_is_visible(objective):
    maps, visible = maps_and_mask()
    alignment = CrossLevelAlignment((3, 5, 7), dim=4, objective=objective)
    trainable = [p for p in alignment.parameters() if p.requires_grad]
    assert len(trainable) == (12 if objective == "infonce" else 8)
    alignment(maps, visible).backward()
    assert all(p.grad is not None for p in trainable) and any(p.grad.abs().sum() > 0 for p in trainable)
    alignment(maps, torch.zeros_like(visible)).backward()


def test_an_unknown_objective_lists_the_known_ones():
    with pytest.raises(ValueError, match="Known: infonce, cosine"):
        CrossLevelAlignment((3, 5), objective="triplet")


def test_two_processes_give_the_loss_and_gradient_of_all_rows(tmp_path: Path):
    run_ranks(align_a_half, str(tmp_path))
    child, parent = (x.clone().requires_grad_() for x in rows(8))
    losses = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    loss = info_nce(child, parent)
    loss.backward()
    torch.testing.assert_close(sum(part["loss"] for part in losses) / 2, loss.detach())
    for name, whole in (("child", child), ("parent", parent)):
        torch.testing.assert_close(torch.cat([part[name] for part in losses]) / 2, whole.grad)
