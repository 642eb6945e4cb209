"""Learning rate: linear warm-up, then half a cosine (Loshchilov & Hutter 2017, equation 5, no restart)."""

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
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2
