"""How low a contrastive loss can get: the blueprint's, with the positive among the negatives, and ours.

The RSNA 2025 blueprint (section 3.3.2) puts the positive's similarity in front of those to all samples, where
it stands a second time. Then the best probability of the positive is a half, and the loss at least log 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.losses.alignment import info_nce


def positive_among_negatives(child: Tensor, parent: Tensor, temperature: float = 0.1) -> Tensor:
    """The contrastive loss with the positive counted a second time as a negative, as the blueprint has it.

    Args:
        child, parent: (N, K), rows of one place each.
        temperature: divides the cosines.

    Returns:
        mean over the rows.
    """
    logits = F.normalize(child, dim=-1) @ F.normalize(parent, dim=-1).T / temperature
    logits = torch.cat([logits.diagonal()[:, None], logits], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


def losses_by_agreement(
    cosines: Tensor, samples: int, width: int, generator: torch.Generator, temperature: float = 0.1
) -> dict[str, Tensor]:
    """Both losses where each child has a given cosine to its own parent, and a random one to the others.

    Args:
        cosines: (C,), in [-1, 1]; 1 is perfect alignment.
        samples: places N.
        width: of the feature space, at least 2.
        generator: draws the parents, and the directions in which children differ.

    Returns:
        ``"positive among the negatives"`` and ``"positive once"``, each (C,).

    Raises:
        ValueError: a cosine out of range, or a width below 2.
    """
    if width < 2 or cosines.abs().max() > 1:
        raise ValueError(f"cosines lie in [-1, 1] and width is at least 2, got {cosines.tolist()}, {width}")
    parent = F.normalize(torch.randn(samples, width, generator=generator), dim=1)
    aside = torch.randn(samples, width, generator=generator)
    aside = F.normalize(aside - (aside * parent).sum(1, keepdim=True) * parent, dim=1)
    children = [c * parent + (1 - c * c).clamp(min=0).sqrt() * aside for c in cosines]
    forms = {"positive among the negatives": positive_among_negatives, "positive once": info_nce}
    return {
        name: torch.stack([loss(child, parent, temperature=temperature) for child in children])
        for name, loss in forms.items()
    }
