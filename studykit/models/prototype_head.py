"""Head of self-distillation (Caron et al. 2021): how much a token is like each of many learned prototypes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear


class PrototypeHead(nn.Module):
    """MLP to a bottleneck, unit length, and a cosine with each prototype.

    >>> PrototypeHead(8, 4, 16)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 16])

    Args:
        dim: channels of a token.
        bottleneck: width before the prototypes.
        prototypes: K.

    Attributes:
        live: 1, or 0 while the prototypes are to stay as they are; they then get a gradient of 0.
    """

    def __init__(self, dim: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Linear(dim, 2 * dim), nn.GELU(), Linear(2 * dim, bottleneck))
        self.prototypes = nn.Parameter(torch.empty(prototypes, bottleneck))
        nn.init.normal_(self.prototypes)
        self.register_buffer("live", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., K), in float32."""
        bottleneck = F.normalize(self.mlp(x).float(), dim=-1, eps=1e-6)
        held = self.prototypes.detach()
        directions = F.normalize(held + self.live * (self.prototypes - held), dim=-1)
        return bottleneck @ directions.float().T
