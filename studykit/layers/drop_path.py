"""Stochastic depth: residual branches of single samples are left out in training (Huang et al. 2016)."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero a branch's output with probability ``rate`` for each sample, and scale up the others to match.

    >>> import torch
    >>> x = torch.ones(4, 3)
    >>> torch.equal(DropPath(0.5).eval()(x), x)
    True

    Raises:
        ValueError: the rate is outside [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"A drop-path rate must be at least 0 and below 1, got {rate}.")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, ...); outside training the input as it is."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        kept = x.new_empty(x.shape[0], *(1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * (kept / keep)
