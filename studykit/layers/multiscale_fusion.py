"""Fusion of parallel convolutions of several kernel sizes, by learned weights (arXiv 2503.12853).

The paper has a weighted sum of the branches with trainable weights, and gives neither kernels nor channels.
Two ways to weigh: one softmax over the branches, or one for each channel that the volume decides, which is a
selective kernel (Li et al. 2019).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.01
WEIGHINGS = ("scalars", "selective")


class MultiscaleFusion(nn.Module):
    """Convolutions of several kernels on one volume, normalised, and summed by weights that add up to 1.

    Instance norms give all branches one scale, so that weights of one size mean parts of one size. Selective
    weights read how strongly each channel of each branch answers to the volume, before its norm.

    >>> fusion = MultiscaleFusion(1, 4, kernels=(1, 3, 5), weighing="selective")
    >>> fusion(torch.rand(2, 1, 6, 6, 6)).shape, fusion.weights(torch.rand(2, 1, 6, 6, 6)).shape
    (torch.Size([2, 4, 6, 6, 6]), torch.Size([2, 3, 4]))

    Args:
        in_channels, out_channels: of the volume and of each branch.
        kernels: voxels an axis of each branch's kernel, odd.
        weighing: one of :data:`WEIGHINGS`; weights start equal.

    Raises:
        ValueError: fewer than two kernels, an even one, or an unknown weighing.
    """

    def __init__(self, in_channels: int, out_channels: int, kernels: Sequence[int], weighing: str) -> None:
        super().__init__()
        if len(kernels) < 2 or any(k % 2 == 0 or k < 1 for k in kernels):
            raise ValueError(f"fusion needs two kernels or more, all odd, got {tuple(kernels)}.")
        if weighing not in WEIGHINGS:
            raise ValueError(f"Unknown weighing {weighing!r}. Known: {', '.join(WEIGHINGS)}.")
        self.branches = nn.ModuleList(
            nn.Conv3d(in_channels, out_channels, k, padding=k // 2, bias=False) for k in kernels
        )
        shape = (len(kernels), out_channels)
        if weighing == "scalars":
            self.scalars = nn.Parameter(torch.zeros(len(kernels), 1))
            self.select = None
        else:
            hidden = max(out_channels // 2, 4)
            self.select = nn.Sequential(
                nn.Linear(len(kernels) * out_channels, hidden),
                nn.GELU(),
                nn.Linear(hidden, shape[0] * shape[1]),
                nn.Unflatten(1, shape),
            )
            nn.init.zeros_(self.select[2].weight)
            nn.init.zeros_(self.select[2].bias)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W)."""
        maps = [branch(x) for branch in self.branches]
        weights = self._weights(maps)[..., None, None, None]
        shown = (F.leaky_relu(F.instance_norm(m), SLOPE, inplace=True) for m in maps)
        return sum(m * weights[:, index] for index, m in enumerate(shown))

    def weights(self, x: Tensor) -> Tensor:
        """Weights of the branches for volumes (B, C, D, H, W): (B, branches, C'), 1 in sum over branches."""
        return self._weights([branch(x) for branch in self.branches]).expand(x.shape[0], *self.shape)

    def _weights(self, maps: Sequence[Tensor]) -> Tensor:
        if self.select is None:
            return self.scalars.softmax(dim=0).unsqueeze(0)
        answers = [m.square().mean(dim=(2, 3, 4)).add(1e-12).sqrt() for m in maps]
        return self.select(torch.cat(answers, dim=1)).softmax(dim=1)
