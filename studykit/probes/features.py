"""What a run's encoder makes of fixed crops, at any step whose weights the run kept."""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.methods.method import Method


@torch.no_grad()
def token_features(method: Method, crops: Tensor, batch_size: int = 16) -> Tensor:
    """Tokens of whole crops, nothing hidden: (N, 1, D, H, W) to float32 (N, T, width) on the CPU."""
    return torch.cat([_encode(method, part).cpu() for part in crops.split(batch_size)])


@torch.no_grad()
def pooled_features(
    method: Method, crops: Tensor, batch_size: int = 16, *, normalised: bool = False
) -> Tensor:
    """Mean of each crop's tokens, nothing hidden: (N, 1, D, H, W) to float32 (N, width) on the CPU.

    Args:
        normalised: whether each token is first brought to mean 0 and deviation 1 over its features, so that
            an encoder that ends in such a normalisation can be held against one that does not.
    """
    parts = []
    for part in crops.split(batch_size):
        tokens = _encode(method, part)
        if normalised:
            tokens = F.layer_norm(tokens, tokens.shape[-1:])
        parts.append(tokens.mean(dim=1).cpu())
    return torch.cat(parts)


def _encode(method: Method, crops: Tensor) -> Tensor:
    return method.encode(crops.to(next(method.parameters()).device)).float()
