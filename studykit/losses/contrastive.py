"""NT-Xent, the loss of SimCLR (Chen et al. 2020, equation 1): find a sample's other view among all others.

Without a teacher, and in float32 whatever the autocast.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.losses.ranks import rows_of_all_ranks


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5, *, gather: bool = False) -> Tensor:
    """Cross-entropy of finding a row's other view among all rows but itself, by cosine.

    >>> rows = torch.eye(4)
    >>> nt_xent(rows, rows) < nt_xent(rows, rows.roll(1, 0))
    tensor(True)

    Args:
        first, second: (N, D), two views of N samples.
        temperature: divides the cosines.
        gather: take rows of all ranks, each of which brings the same N; for training only, as all ranks have
            to take part.
    """
    views = [F.normalize(rows.float(), dim=-1) for rows in (first, second)]
    keys, start = zip(*(rows_of_all_ranks(rows) if gather else (rows, 0) for rows in views), strict=True)
    every, own = torch.cat(keys), torch.arange(len(first), device=first.device) + start[0]
    losses = []
    for view, rows in enumerate(views):
        logits = (rows @ every.T / temperature).float()
        itself = own + view * len(keys[0])
        logits = logits.scatter(1, itself[:, None], -torch.inf)
        losses.append(F.cross_entropy(logits, own + (1 - view) * len(keys[0])))
    return torch.stack(losses).mean()
