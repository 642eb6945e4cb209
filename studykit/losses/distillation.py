"""A student that is to say of one view what its teacher says of another: class token, patch tokens, features.

Self-distillation without labels: DINO (Caron et al. 2021) for class tokens over pairs of views, iBOT (Zhou
et al. 2022) for patch tokens at one place; the lineage of VolTA-3D (arXiv 2605.16775). Beside it KoLeo
(Sablayrolles et al. 2019), which spreads features out. All of it in float32, whatever the autocast.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.losses.ranks import sum_over_ranks


def sharpened(teacher: Tensor, centre: Tensor | float, temperature: Tensor | float) -> Tensor:
    """What a teacher says, as probabilities without gradient: softmax of (logits - centre) / temperature.

    >>> sharpened(torch.tensor([2.0, 2.0]), 1.0, 0.04)
    tensor([0.5000, 0.5000])

    Args:
        teacher: (..., K) logits of K prototypes.
        centre: (K,), subtracted from them.
        temperature: below the student's.
    """
    return ((teacher.detach().float() - centre) / temperature).softmax(dim=-1)


def soft_cross_entropy(student: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of a student's logits to probabilities, (..., K) to (...).

    Where both say the same it is their entropy, its least value.

    >>> round(float(soft_cross_entropy(torch.zeros(4), torch.full((4,), 0.25))), 4)  # ln 4
    1.3863

    Args:
        student: (..., K) logits.
        target: (..., K), from :func:`sharpened`.
        temperature: divides the logits.
    """
    return -(target * (student.float() / temperature).log_softmax(dim=-1)).sum(dim=-1)


def class_token_loss(student: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over pairs of a student's and a teacher's view that are not the same one.

    >>> class_token_loss(torch.rand(3, 2, 8), torch.rand(2, 2, 8).softmax(-1)).shape
    torch.Size([])

    Args:
        student: (S, B, K), logits of S views of B samples; the first V are the teacher's views.
        target: (V, B, K), from :func:`sharpened`.
        temperature: divides the logits.

    Raises:
        ValueError: one view of each side, which makes no pair.
    """
    views, others = len(student), len(target)
    if views == others == 1:
        raise ValueError("one view of the student and the same one of the teacher: there is no pair of views")
    said = (student.float() / temperature).log_softmax(dim=-1)
    pairs = -(said[:, None] * target).sum(dim=-1).mean(dim=-1)
    apart = 1 - torch.eye(views, others, device=pairs.device)
    return (pairs * apart).sum() / (views * others - min(views, others))


def patch_token_loss(student: Tensor, target: Tensor, counted: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over the tokens of a sample that count, then over the samples that have any.

    >>> tokens = torch.rand(2, 5, 8)
    >>> patch_token_loss(tokens, tokens.softmax(-1), torch.zeros(2, 5, dtype=torch.bool))
    tensor(0.)

    Args:
        student, target: (..., T, K) logits and probabilities, token by token of one place.
        counted: bool (..., T).
        temperature: divides the logits.
    """
    of_token = soft_cross_entropy(student, target, temperature)
    count = counted.sum(dim=-1)
    of_sample = torch.where(counted, of_token, 0.0).sum(dim=-1) / count.clamp(min=1)
    return of_sample.sum() / (count > 0).sum().clamp(min=1)


class Centre(nn.Module):
    """Running mean of a teacher's logits; subtracted from them, no prototype can win everywhere.

    What is seen between two updates is added up in float64 and over all ranks, so that the centre does not
    depend on how a batch was cut or shared.

    >>> centre = Centre(2, momentum=0.9)
    >>> centre.see(torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    >>> centre.update()
    >>> centre.value
    tensor([0.2000, 0.4000])

    Args:
        dim: K, prototypes.
        momentum: share of the old centre that an update keeps.
    """

    def __init__(self, dim: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(dim))
        self.register_buffer("seen", torch.zeros(dim + 1, dtype=torch.float64))

    @torch.no_grad()
    def see(self, logits: Tensor) -> None:
        """Take (..., K) logits into account at the next update."""
        rows = logits.flatten(0, -2).double()
        total = torch.cat([rows.sum(dim=0), rows.new_full((1,), len(rows))])
        self.seen += sum_over_ranks(total)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the mean of what was seen since the last update; nothing seen, nothing moved."""
        count = self.seen[-1]
        mean = (self.seen[:-1] / count.clamp(min=1)).to(self.value.dtype)
        moved = self.momentum * self.value + (1 - self.momentum) * mean
        self.value.copy_(torch.where(count > 0, moved, self.value))
        self.seen.zero_()


def koleo(features: Tensor, eps: float = 1e-8) -> Tensor:
    """Minus the mean logarithm of each row's distance to its nearest other one: large where rows meet.

    Rows should be of unit length, and of distinct subjects: of equal rows it is about -ln(eps), of one row
    alone as well.

    >>> round(float(koleo(torch.eye(3))), 4)  # -ln √2
    -0.3466

    Args:
        features: (N, D).
    """
    rows = features.float()
    with torch.no_grad():
        nearest = (rows @ rows.T).fill_diagonal_(-torch.inf).argmax(dim=1)
    distance = F.pairwise_distance(rows, rows[nearest], eps=eps)
    return -(distance + eps).log().mean()
