"""NT-Xent, the loss of SimCLR (Chen et al. 2020, equation 1): find a sample's other view among all others.

Without a teacher, and in float32 whatever the autocast.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """Cross-entropy of finding a row's other view among all rows but itself, by cosine.

    >>> rows = torch.eye(4)
    >>> nt_xent(rows, rows) < nt_xent(rows, rows.roll(1, 0))
    tensor(True)

    Args:
        first, second: (N, D), two views of N samples.
        temperature: divides the cosines.
    """
    views = [F.normalize(rows.float(), dim=-1) for rows in (first, second)]
    every, own = torch.cat(views), torch.arange(len(first), device=first.device)
    losses = []
    for view, rows in enumerate(views):
        logits = (rows @ every.T / temperature).float()
        itself = own + view * len(first)
        logits = logits.scatter(1, itself[:, None], -torch.inf)
        losses.append(F.cross_entropy(logits, own + (1 - view) * len(first)))
    return torch.stack(losses).mean()
