"""Hide patches, predict them, score the hidden ones: what masked autoencoders of any architecture share."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from studykit.layers.patches import split_mask, unpatchify
from studykit.losses import build_loss
from studykit.masking import hide_first, inside_field_of_view, move_to, num_masked, patch_noise
from studykit.methods.hidden_patches import hidden_terms, painted
from studykit.methods.patch_masked import PatchMasked
from studykit.models import build_model


class MaskedReconstruction(PatchMasked):
    """A model that maps (volume, mask) to patches, with a mask ratio and a loss.

    A subclass names its ``architecture``, whose ``forward(volume, mask, num_visible)`` predicts every patch.

    Args:
        model: name of another architecture that does.
        mask_ratio: share of patches hidden.
        loss: name of a loss on masked patches; one that ``needs_context`` also gets the volume, as it came,
            and the places of the hidden patches.
        loss_options: its options.
        normalise_target: score against each target patch standardised by its own mean and deviation.
        fov_aware: in training, show patches inside the field of view only, as far as there are enough; those
            outside are hidden and scored like any other (as in BertsWin's released code).
        model_options: sizes of the model.
    """

    takes_loss = True

    def __init__(
        self,
        model: str | None = None,
        mask_ratio: float = 0.75,
        loss: str = "l2",
        loss_options: Mapping[str, Any] | None = None,
        normalise_target: bool = False,
        fov_aware: bool = False,
        **model_options: Any,
    ) -> None:
        super().__init__()
        self.model = build_model(model or self.architecture, **model_options)
        self.loss = build_loss(loss, **(loss_options or {}))
        self.mask_ratio = mask_ratio
        self.normalise_target = normalise_target
        self.fov_aware = fov_aware
        self.grid = self.model.grid
        self.num_visible = math.prod(self.grid) - num_masked(self.grid, mask_ratio)

    @property
    def terms(self) -> tuple[str, ...]:
        return self.loss.terms

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Masks of ``rows`` of a batch: bool (b, d, h, w), ``True`` = hidden, ``mask_ratio`` of each sample.

        The generator moves on alike whatever the rows and the volumes are.

        Args:
            volumes: the training volumes of those rows, (b, C, D, H, W), on whose device the masks come;
                without them masks are on the generator's, and know no field of view.
        """
        order = move_to(patch_noise(self.grid, batch_size, generator)[rows], volumes)
        if self.fov_aware and volumes is not None:
            order = order + inside_field_of_view(volumes, self.model.patch_size)
        return hide_first(order, self.mask_ratio)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Loss terms of the hidden patches.

        Args:
            volume: (B, C, D, H, W), standardised intensities.
            mask: bool (B, d, h, w) from :meth:`draw_masks`.

        Returns:
            named scalars; their sum is minimised.
        """
        prediction = self.model(volume, mask, self.num_visible)
        _, hidden = split_mask(mask, self.num_visible)
        return hidden_terms(self.loss, prediction, volume, hidden, normalise_target=self.normalise_target)

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`MaskedModelling.reconstruct` and :func:`~studykit.methods.hidden_patches.painted`."""
        prediction = unpatchify(self.model(volume, mask), self.grid)
        return painted(volume, prediction, mask, normalise_target=self.normalise_target)


class BertsWin(MaskedReconstruction):
    """:class:`~studykit.models.bertswin.BertsWinNet` under masked reconstruction."""

    version = 1
    architecture = "bertswin"


class MaskedAutoencoder(MaskedReconstruction):
    """:class:`~studykit.models.mae_vit.MaskedAutoencoderViT` under masked reconstruction.

    With ``model="vit-autoencoder"`` the same network with its encoder as a part of its own, whose weights go
    over to whatever else is built on :class:`~studykit.models.vit.VisionTransformer`.
    """

    version = 1
    architecture = "mae-vit"
