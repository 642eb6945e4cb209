"""Whether the second level of masks changes the loss that the blueprint writes down, and ours."""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.losses.nested import block_mean_error, blueprint_loss
from studykit.methods.mim import Mim


@torch.no_grad()
def second_level_rows(
    method: Mim, images: Tensor, coarse: Tensor, fine: Tensor
) -> list[dict[str, str | float]]:
    """Both losses with and without the second-level mask, at three predictions.

    Args:
        method: that paints under nested masks.
        images: (N, 1, D, H, W).
        coarse, fine: bool (N, d, h, w), the masks of the first and of the second level.
    """
    blurred = F.interpolate(F.avg_pool3d(images, 2), size=images.shape[2:], mode="trilinear")
    predictions = {
        "untrained network": method.reconstruct(images, coarse),
        "all zero": torch.zeros_like(images),
        "blurred truth": blurred,
    }

    def ours(said: Tensor, inner: Tensor) -> Tensor:
        return blueprint_loss(said, images, inner, inner) + block_mean_error(said, images, coarse, 2)

    forms = {"blueprint": lambda said, inner: blueprint_loss(said, images, coarse, inner), "ours": ours}
    removed = {"blueprint": torch.zeros_like(fine), "ours": coarse}
    return [
        {
            "loss": form,
            "prediction": words,
            "both masks": loss(said, fine).item(),
            "without the second": loss(said, removed[form]).item(),
        }
        for form, loss in forms.items()
        for words, said in predictions.items()
    ]
