"""Cross-level alignment: features of one place at two levels are to agree (RSNA 2025 blueprint, 3.3.2; MiM).

A child is the finer of two levels, its parent the coarser one at the same place. Where the blueprint falls
short, this holds: the positive is not among the negatives, so that perfect alignment has a loss near zero;
negatives are cells of the coarse level as it is, since interpolated ones nearly repeat each other; each level
has a projection head of its own width; masks are brought to each map's grid.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.patches import take_tokens
from studykit.losses.ranks import ranks, rows_of_all_ranks
from studykit.masking import mask_on

OBJECTIVES = ("infonce", "cosine")


def info_nce(
    child: Tensor,
    parent: Tensor,
    valid: Tensor | None = None,
    temperature: float = 0.1,
    *,
    gather: bool = False,
) -> Tensor:
    """Cross-entropy of finding a child's own parent among all parents, by cosine (van den Oord et al. 2018).

    The positive counts once; every other valid parent is a negative. Gradients reach both sides, across ranks
    too: with the mean of gradients that data-parallel training takes, they are those of the mean of the
    ranks' losses.

    >>> rows = torch.eye(8)
    >>> bool(info_nce(rows, rows) < 1e-3), bool(info_nce(rows, rows.roll(1, 0)) > 5)
    (True, True)

    Args:
        child, parent: (N, K), rows of one place each.
        valid: bool (N,), rows that count; all without it.
        temperature: divides the cosines.
        gather: take parents of all ranks; each rank brings the same N. For training only: all ranks have to
            take part.

    Returns:
        mean over the valid rows; without any, a zero that still has its graph.
    """
    valid = torch.ones_like(child[:, 0], dtype=torch.bool) if valid is None else valid
    with _without_autocast(child.device):
        queries, keys = (F.normalize(rows.float(), dim=-1) for rows in (child, parent))
        apart = gather and ranks() > 1
        keys, usable, own = _all_ranks(keys, valid) if apart else (keys, valid, _places(child))
        positive = own[:, None] == torch.arange(len(keys), device=keys.device)
        logits = (queries @ keys.T / temperature).masked_fill(~(usable | positive), -torch.inf)
        return _mean_of(F.cross_entropy(logits, own, reduction="none"), valid)


def cosine_distance(child: Tensor, parent: Tensor, valid: Tensor | None = None) -> Tensor:
    """2 - 2 cos of each child and its parent, a target that no gradient reaches (Grill et al. 2020).

    >>> rows = torch.eye(4)
    >>> cosine_distance(rows, rows), cosine_distance(rows, -rows)
    (tensor(0.), tensor(4.))

    Args, returns: as for :func:`info_nce`.
    """
    valid = torch.ones_like(child[:, 0], dtype=torch.bool) if valid is None else valid
    return _mean_of(2 - 2 * F.cosine_similarity(child.float(), parent.detach().float(), dim=-1), valid)


def spread_cells(visible: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """At most ``samples`` visible cells of each sample, evenly spread over them in raster order.

    No random number is needed: masks differ from step to step. The shape does not depend on the mask, so that
    ranks agree on it and nothing waits for the device.

    >>> visible = torch.tensor([0, 1, 1, 0, 1, 1], dtype=torch.bool).view(1, 1, 1, 6)
    >>> places, seen = spread_cells(visible, 2)
    >>> places, bool(seen.all())
    (tensor([[1, 4]]), True)

    Args:
        visible: bool (B, d, h, w).
        samples: most cells a sample.

    Returns:
        places, int64 (B, S), and which of them are visible cells, bool (B, S); S = min(samples, d·h·w). With
        fewer visible cells than S the rest is filled up with hidden ones.
    """
    flat = visible.flatten(1)
    chosen = min(samples, flat.shape[1])
    first_visible = (~flat).byte().argsort(dim=1, stable=True)
    count = flat.sum(dim=1, keepdim=True)
    steps = torch.arange(chosen, device=flat.device)
    ranks = steps * count.clamp(min=chosen) // chosen
    return first_visible.gather(1, ranks), ranks < count


class CrossLevelAlignment(nn.Module):
    """Projection heads and the objective that compares what they give.

    >>> fine, coarse = torch.rand(2, 8, 8, 8, 8), torch.rand(2, 16, 4, 4, 4)
    >>> visible = torch.rand(2, 2, 2, 2) > 0.4
    >>> CrossLevelAlignment((8, 16))([fine, coarse], visible).shape
    torch.Size([])

    Args:
        channels: of the feature maps, fine to coarse; one head each.
        dim: width of the common space, and of the heads' hidden layer.
        objective: "infonce", whose gradient reaches child and parent, or "cosine", where the parent is a
            fixed target and the head of the last map, which is never a child, stays as initialised.
        temperature: of InfoNCE.
        samples: most cells of a sample and pair of maps.

    Raises:
        ValueError: unknown objective; the message lists the known ones.
    """

    def __init__(
        self,
        channels: Sequence[int],
        dim: int = 64,
        objective: str = "infonce",
        temperature: float = 0.1,
        samples: int = 64,
    ) -> None:
        super().__init__()
        if objective not in OBJECTIVES:
            raise ValueError(f"Unknown objective {objective!r}. Known: {', '.join(OBJECTIVES)}.")
        self.objective, self.temperature, self.samples = objective, temperature, samples
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, dim), nn.GELU(), nn.Linear(dim, dim)) for width in channels
        )
        if objective == "cosine" and len(channels) > 1:
            self.heads[-1].requires_grad_(False)

    def forward(self, maps: Sequence[Tensor], visible: Tensor) -> Tensor:
        """Align each stage of an encoder with the next coarser one, at visible cells; mean over the pairs.

        A child is the mean of the fine map over the coarse cell.

        Args:
            maps: (B, C_i, d_i, h_i, w_i), fine to coarse, each grid a multiple of the next.
            visible: bool (B, d, h, w), on any grid that :func:`studykit.masking.mask_on` can bring to theirs.
        """
        pairs = []
        for level in range(len(maps) - 1):
            fine, coarse = maps[level], maps[level + 1]
            grid = coarse.shape[2:]
            pooled = F.avg_pool3d(fine, [n // m for n, m in zip(fine.shape[2:], grid, strict=True)])
            places, valid = spread_cells(~mask_on(~visible, grid), self.samples)
            child, parent = (
                take_tokens(features.flatten(2).transpose(1, 2), places).flatten(0, 1)
                for features in (pooled, coarse)
            )
            pairs.append(self.compare(child, parent, valid.flatten(), (level, level + 1)))
        return torch.stack(pairs).mean()

    def compare(
        self, child: Tensor, parent: Tensor, valid: Tensor | None = None, levels: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Objective of (N, C) children and their parents, each through the head of its level."""
        child, parent = self.heads[levels[0]](child), self.heads[levels[1]](parent)
        if self.objective == "cosine":
            return cosine_distance(child, parent, valid)
        return info_nce(child, parent, valid, self.temperature, gather=self.training)


@torch._disable_dynamo  # as torch.compiler.disable, which would import the compiler here, for a second
def _all_ranks(keys: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and their validity of all ranks in order, and where this rank's rows are among them."""
    usable = [torch.empty_like(valid) for _ in range(ranks())]
    dist.all_gather(usable, valid)
    every, start = rows_of_all_ranks(keys)
    return every, torch.cat(usable), _places(keys) + start


def _places(rows: Tensor) -> Tensor:
    return torch.arange(len(rows), device=rows.device)


def _mean_of(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / valid.sum().clamp(min=1)


def _without_autocast(device: torch.device):
    """Similarities in float32; on the meta device, where operations are counted, there is no autocast."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
