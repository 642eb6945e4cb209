"""What every loss on masked patches keeps to."""

from typing import ClassVar

from torch import nn


class PatchLoss(nn.Module):
    """A call maps prediction and target, (B, M, C, p, p, p), to named scalars, weighted; their sum counts.

    Attributes:
        version: raised when the same patches give other numbers than before.
        terms: names of what a call gives.
        needs_context: whether a call takes two more arguments, the volume (B, C, D, H, W) as it came and the
            hidden patches' places in raster order, int64 (B, M).
    """

    version: ClassVar[int]
    terms: ClassVar[tuple[str, ...]]
    needs_context: ClassVar[bool] = False
