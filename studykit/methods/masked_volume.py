"""Masked pre-training of any encoder-decoder (after SimMIM, Xie et al. 2022): hide blocks, paint them.

The network sees the whole crop with its hidden voxels already set to zero. A token put in later, behind a
convolutional stem that looks over the edge of a block, would come too late: what stands beside it has seen
hidden voxels. Nothing here knows the architecture but that it has ``encoder``, ``decoder`` and ``head``.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.masking import CONSTANT, num_masked, upsample_mask
from studykit.methods.hidden_patches import painted
from studykit.methods.patch_masked import PatchMasked
from studykit.models import build_model

ERRORS = {"l1": F.l1_loss, "l2": F.mse_loss}
SKIPS = ("drop", "zero", "keep")


class MaskedVolume(PatchMasked):
    """An encoder-decoder that predicts the hidden voxels of a crop, with a mask ratio and a loss.

    Args:
        model: name of an architecture with ``encoder``, ``decoder`` and ``head``, and ``strides``.
        mask_ratio: share of blocks hidden.
        mask_block: voxels an axis of a block, one number or (D, H, W); by default a cell of the coarsest map.
        loss: ``l1`` or ``l2``: mean absolute or squared error of the hidden voxels.
        foreground_only: leave out hidden voxels of the constant background, where a sample is at its smallest
            intensity.
        learned_token: paint a learned intensity, one a channel, over hidden voxels instead of zero, which as
            the mean of standardised intensities is also that of some tissue. It starts at zero. Painted on
            voxels it fits any architecture and cannot leak.
        skips: what the decoder sees of the maps but the coarsest, which otherwise solve the task without it:
            ``drop`` zeros, ``zero`` zeros where a cell holds no visible voxel, ``keep`` all of them.
        img_size: voxels an axis of the crops, one number or (D, H, W), a multiple of the block.
        in_channels: channels of the volume.
        model_options: the model's options.

    Raises:
        ValueError: an option that does not fit; the message says which.
    """

    version = 1
    architecture = "nnformer"

    def __init__(
        self,
        model: str = architecture,
        mask_ratio: float = 0.5,
        mask_block: int | Sequence[int] | None = None,
        loss: str = "l2",
        foreground_only: bool = False,
        learned_token: bool = False,
        skips: str = "drop",
        img_size: int | Sequence[int] = 128,
        in_channels: int = 1,
        **model_options: Any,
    ) -> None:
        super().__init__()
        for name, value, known in (("loss", loss, ERRORS), ("skips", skips, SKIPS)):
            if value not in known:
                raise ValueError(f"Unknown {name} {value!r}. Known: {', '.join(known)}.")
        for name in ("num_classes", "deep_supervision"):
            if name in model_options:
                raise ValueError(f"Masked pre-training sets the model's {name} itself; leave it out.")
        self.model = build_model(
            model, img_size=img_size, in_channels=in_channels, num_classes=in_channels, **model_options
        )
        size = _per_axis(img_size)
        block = _per_axis(self.model.strides[-1] if mask_block is None else mask_block)
        if min(block) < 1 or any(n % b for n, b in zip(size, block, strict=True)):
            raise ValueError(
                f"img_size {size} must be a multiple of mask_block {block}, by default the coarsest cell of "
                "the model."
            )
        self.block = block
        self.grid = tuple(n // b for n, b in zip(size, block, strict=True))
        num_masked(self.grid, mask_ratio)
        self.mask_ratio = mask_ratio
        self.loss = loss
        self.foreground_only = foreground_only
        self.skips = skips
        self.token = nn.Parameter(torch.zeros(in_channels)) if learned_token else None

    @property
    def terms(self) -> tuple[str, ...]:
        return (self.loss,)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Mean error of the hidden voxels, with ``foreground_only`` of those in the foreground.

        Args:
            volume: (B, C, D, H, W), standardised intensities.
            mask: bool (B, d, h, w) from :meth:`draw_masks`.

        Returns:
            one named scalar; zero where there is nothing to predict.
        """
        hidden = upsample_mask(mask, self.block)
        scored = hidden & _foreground(volume) if self.foreground_only else hidden
        target = volume.float()
        prediction = self._predict(volume, mask, hidden).float()
        error = ERRORS[self.loss](torch.where(scored, prediction, target), target, reduction="sum")
        return {self.loss: error / (scored.sum() * volume.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`MaskedModelling.reconstruct`."""
        return painted(volume, self._predict(volume, mask, upsample_mask(mask, self.block)), mask)

    def _predict(self, volume: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
        paint = 0.0 if self.token is None else self.token.to(volume.dtype).view(1, -1, 1, 1, 1)
        *skips, deepest = self.model.encoder(torch.where(hidden, paint, volume))
        if self.skips == "drop":
            # Not new zeros: every parameter then gets a gradient, as training on several processes needs.
            skips = [skip * 0.0 for skip in skips]
        elif self.skips == "zero":
            visible = (~mask).unsqueeze(1).float()
            skips = [skip * F.adaptive_max_pool3d(visible, skip.shape[2:]).to(skip.dtype) for skip in skips]
        return self.model.head(self.model.decoder([*skips, deepest]))


def _foreground(volume: Tensor) -> Tensor:
    """bool (B, 1, D, H, W): any channel above the sample's smallest intensity."""
    smallest = volume.amin(dim=(1, 2, 3, 4), keepdim=True)
    return (volume > smallest + CONSTANT).any(dim=1, keepdim=True)


def _per_axis(size: int | Sequence[int]) -> tuple[int, int, int]:
    return (size,) * 3 if isinstance(size, int) else tuple(size)
