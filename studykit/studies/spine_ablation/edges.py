"""Whether attention goes to where the image has edges."""

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

from studykit.studies.spine_ablation.attention_maps import attention_maps


def edge_strength(image: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean length of the gradient inside each cell of a grid: (B, 1, D, H, W) to (B, d, h, w).

    >>> step = torch.zeros(1, 1, 8, 8, 8)
    >>> step[:, :, 4:] = 1
    >>> edge_strength(step, (4, 4, 4))[0, :, 0, 0].tolist()
    [0.0, 0.25, 0.25, 0.0]
    """
    length = torch.stack(torch.gradient(image[:, 0], dim=(1, 2, 3))).square().sum(dim=0).sqrt()
    return F.adaptive_avg_pool3d(length[:, None], grid)[:, 0]


def edge_correlation(received: Tensor, image: Tensor) -> float:
    """Rank correlation (Spearman) over tokens of attention received and edge strength.

    Args:
        received: (heads, d, h, w), of one image; its mean over heads is taken.
        image: (1, 1, D, H, W).
    """
    of_tokens = received.mean(dim=0)
    edges = edge_strength(image, tuple(of_tokens.shape))
    return float(spearmanr(of_tokens.flatten().numpy(), edges.flatten().numpy()).statistic)


def edge_row(model: nn.Module, crop: Tensor) -> dict[str, float]:
    """Correlation at a model's first window attention and the mean over all, for a crop (1, 1, D, H, W)."""
    found = [edge_correlation(maps.received[0], crop) for maps in attention_maps(model, crop)]
    return {"first layer": found[0], "all layers": sum(found) / len(found)}


def first_layer(model: nn.Module, crop: Tensor) -> tuple[Tensor, Tensor]:
    """Attention received and sharpness (d, h, w) at the first window attention, means over heads.

    Args:
        crop: (1, 1, D, H, W).
    """
    maps = attention_maps(model, crop)[0]
    return maps.received[0].mean(0), maps.sharpness[0].mean(0)


def central_crop(image: Tensor, size: int) -> Tensor:
    """The middle (1, 1, size, size, size) of a volume (1, D, H, W), with its minimum beyond a smaller one."""
    missing = [max(size - side, 0) for side in image.shape[1:]]
    around = [n for m in reversed(missing) for n in (m // 2, m - m // 2)]
    image = F.pad(image, around, value=float(image.min()))
    starts = [(side - size) // 2 for side in image.shape[1:]]
    d, h, w = (slice(start, start + size) for start in starts)
    return image[None, :, d, h, w]
