"""SparK (Tian et al. 2023, arXiv 2301.03580): masked modelling of hierarchical encoders, computed sparsely.

Patches are hidden on the grid of the encoder's coarsest map, and set to zero before anything reads them. The
encoder computes on what is visible only; each of its maps gets mask tokens where it is empty, and a light
U-Net paints the hidden patches. Two dense encoders stand beside it for comparison: one that convolves over
the zeros, one that has a learned token there.
"""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from studykit.layers.packed_patches import PackedPatches
from studykit.masking import num_masked, upsample_mask
from studykit.methods.patch_masked import PatchMasked
from studykit.models import build_model
from studykit.models.light_decoder import LightDecoder

FILLS = ("zero", "mask-token")


class Spark(PatchMasked):
    """An encoder under masked modelling, with a light decoder of its own.

    Args:
        model: name of an architecture with ``encoder``, ``channels`` and ``strides``; its decoder and head
            are left out.
        mask_ratio: share of patches hidden.
        sparse: whether the encoder is told what is visible and computes on that alone. Without it the encoder
            is dense and fills the holes itself, so that the decoder has no tokens to put there.
        fill: what a dense encoder reads at hidden voxels: ``zero``, or ``mask-token``, a learned intensity a
            channel.
        normalise_target: score against each target patch standardised by its own mean and deviation.
        decoder_width: channels of the decoder at the coarsest map.
        img_size: voxels an axis of the crops, one number or (D, H, W).
        in_channels: channels of the volume.
        model_options: the model's options.

    Raises:
        ValueError: an option that does not fit, or a sparse encoder asked of a model that has none.
    """

    version = 1
    architecture = "residual-unet"

    def __init__(
        self,
        model: str = architecture,
        mask_ratio: float = 0.6,
        sparse: bool = True,
        fill: str = "zero",
        normalise_target: bool = True,
        decoder_width: int = 64,
        img_size: int | Sequence[int] = 96,
        in_channels: int = 1,
        **model_options: Any,
    ) -> None:
        super().__init__()
        if fill not in FILLS:
            raise ValueError(f"Unknown fill {fill!r}. Known: {', '.join(FILLS)}.")
        if sparse and fill != "zero":
            raise ValueError(f"A sparse encoder reads no hidden voxel: fill {fill!r} needs sparse=False.")
        self.model = build_model(model, img_size=img_size, in_channels=in_channels, **model_options)
        if sparse and "visible" not in inspect.signature(self.model.encoder.forward).parameters:
            raise ValueError(f"Model {model!r} has no sparse encoder; use sparse=False.")
        self.model.decoder, self.model.head = nn.Identity(), nn.Identity()
        self.patch_size = self.model.strides[-1]
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        self.grid = tuple(n // p for n, p in zip(size, self.patch_size, strict=True))
        self.num_visible = math.prod(self.grid) - num_masked(self.grid, mask_ratio)
        self.mask_ratio = mask_ratio
        self.sparse = sparse
        self.normalise_target = normalise_target
        self.input_token = nn.Parameter(torch.zeros(in_channels)) if fill == "mask-token" else None
        self.decoder = LightDecoder(self.model.channels, self.model.strides, in_channels, decoder_width)
        self.decoder.mask_tokens.requires_grad_(sparse)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Squared error, averaged over each hidden patch, then over the hidden patches.

        Args:
            volume: (B, C, D, H, W), standardised intensities.
            mask: bool (B, d, h, w) from :meth:`draw_masks`.

        Returns:
            one named scalar.

        Raises:
            ValueError: a sparse encoder, and a mask that hides another share (not looked at on a GPU).
        """
        prediction = self._blocks(self._predict(volume, mask, self.num_visible).float())
        target = self._blocks(volume.float())
        if self.normalise_target:
            mean, deviation = _statistics(target)
            target = (target - mean) / deviation
        of_patch = (prediction - target).square().mean(dim=-1)
        return {"l2": (of_patch * mask).sum() / mask.sum().clamp(min=1)}

    def masked_maps(self, volume: Tensor, mask: Tensor) -> list[Tensor]:
        """Maps of what the mask leaves visible, as the decoder gets them.

        Args:
            volume: (B, C, D, H, W).
            mask: bool (B, d, h, w), of any number of patches.

        Returns:
            (B, C_i, d_i, h_i, w_i), fine to coarse; of a sparse encoder they are 0 at hidden sites.
        """
        return self._maps(volume, mask, self._told(mask))

    def _maps(self, volume: Tensor, mask: Tensor, visible: PackedPatches | None) -> list[Tensor]:
        paint = 0.0 if self.input_token is None else self.input_token.to(volume.dtype)[:, None, None, None]
        seen = torch.where(upsample_mask(mask, self.patch_size), paint, volume)
        return self.model.encoder(seen) if visible is None else self.model.encoder(seen, visible)

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Volume with its hidden patches replaced by their prediction, (B, C, D, H, W), in input intensities.

        With ``normalise_target`` a prediction is scaled back by the true patch's mean and deviation, as is
        usual for pictures: it shows texture, not brightness.
        """
        prediction = self._predict(volume, mask).float()
        if self.normalise_target:
            mean, deviation = _statistics(self._blocks(volume.float()))
            prediction = self._volume(self._blocks(prediction) * deviation + mean)
        hidden = upsample_mask(mask, self.patch_size)
        return torch.where(hidden, prediction.to(volume.dtype), volume)

    def _predict(self, volume: Tensor, mask: Tensor, num_visible: int | None = None) -> Tensor:
        visible = self._told(mask, num_visible)
        return self.decoder(self._maps(volume, mask, visible), visible)

    def _told(self, mask: Tensor, num_visible: int | None = None) -> PackedPatches | None:
        """What encoder and decoder are told to be visible; None: they compute densely.

        On the meta device masks have no values, and operations are counted as if everything were visible.

        Args:
            num_visible: patches of each sample, where that is known.
        """
        if not self.sparse or mask.is_meta:
            return None
        return PackedPatches(~mask, None if num_visible is None else num_visible * len(mask))

    def _blocks(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, d, h, w, C·pd·ph·pw)."""
        (d, h, w), (pd, ph, pw) = self.grid, self.patch_size
        blocks = volume.reshape(*volume.shape[:2], d, pd, h, ph, w, pw)
        return blocks.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)

    def _volume(self, blocks: Tensor) -> Tensor:
        """Inverse of :meth:`_blocks`."""
        (d, h, w), (pd, ph, pw) = self.grid, self.patch_size
        parts = blocks.unflatten(4, (-1, pd, ph, pw)).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return parts.reshape(blocks.shape[0], -1, d * pd, h * ph, w * pw)


def _statistics(blocks: Tensor, epsilon: float = 1e-6) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(blocks, dim=-1, keepdim=True, correction=0)
    return mean, (variance + epsilon).sqrt()
