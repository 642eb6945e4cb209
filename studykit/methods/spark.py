"""SparK (Tian et al. 2023, arXiv 2301.03580): masked modelling of hierarchical encoders, computed sparsely.

Patches are hidden on the grid of the encoder's coarsest map, and set to zero before anything reads them. The
encoder computes on what is visible only; each of its maps gets mask tokens where it is empty, and a light
U-Net paints the hidden patches. Two dense encoders stand beside it for comparison: one that convolves over
the zeros, one that has a learned token there.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from studykit.layers.patches import cut
from studykit.masking import num_masked
from studykit.methods.encoder_painting import EncoderPainting
from studykit.methods.hidden_patches import painted, standardised
from studykit.methods.patch_masked import PatchMasked
from studykit.models import build_model

FILLS = ("zero", "mask-token")


class Spark(PatchMasked, EncoderPainting):
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
    terms = ("l2",)

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
        if fill not in FILLS:
            raise ValueError(f"Unknown fill {fill!r}. Known: {', '.join(FILLS)}.")
        if sparse and fill != "zero":
            raise ValueError(f"A sparse encoder reads no hidden voxel: fill {fill!r} needs sparse=False.")
        network = build_model(model, img_size=img_size, in_channels=in_channels, **model_options)
        if sparse and not network.sparse:
            raise ValueError(f"Model {model!r} has no sparse encoder; use sparse=False.")
        super().__init__(
            network, sparse=sparse, img_size=img_size, in_channels=in_channels, decoder_width=decoder_width
        )
        self.num_hidden = num_masked(self.grid, mask_ratio)
        self.mask_ratio = mask_ratio
        self.normalise_target = normalise_target
        self.input_token = nn.Parameter(torch.zeros(in_channels)) if fill == "mask-token" else None

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
        painting = self._predict(volume, mask, self.num_hidden)
        prediction, target = (cut(x.float(), self.grid).flatten(2) for x in (painting, volume))
        if self.normalise_target:
            target = standardised(target)
        of_patch, hidden = (prediction - target).square().mean(dim=-1), mask.flatten(1)
        return {"l2": (of_patch * hidden).sum() / hidden.sum().clamp(min=1)}

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`MaskedModelling.reconstruct` and :func:`~studykit.methods.hidden_patches.painted`."""
        prediction = self._predict(volume, mask)
        return painted(volume, prediction, mask, normalise_target=self.normalise_target)

    def _predict(self, volume: Tensor, mask: Tensor, count: int | None = None) -> Tensor:
        fill = 0.0 if self.input_token is None else self.input_token.to(volume.dtype)[:, None, None, None]
        return self._paint(volume, mask, count, fill)[1]
