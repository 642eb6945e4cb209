"""Learning rate: linear warm-up, then half a cosine (Loshchilov & Hutter 2017, equation 5, no restart).

Weight decay may go along half a cosine, too, up where the rate goes down (Caron et al. 2021).
"""

import math


def warmup_cosine(step: int, *, steps: int, warmup_steps: int, lr: float, min_lr: float) -> float:
    """Learning rate of optimizer step ``step``, counted from 0.

    The warm-up rises linearly to ``lr`` at its last step (the first step is not wasted on a rate of 0), the
    cosine falls from ``lr`` at step ``warmup_steps`` and would meet ``min_lr`` at step ``steps``, one past
    the last.
    """
    if step < warmup_steps:
        return lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)
    return half_cosine(progress, lr, min_lr)


def half_cosine(progress: float, start: float, end: float) -> float:
    """From ``start`` at a progress of 0 to ``end`` at 1.

    >>> half_cosine(0.5, 0.04, 0.4)
    0.22
    """
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
