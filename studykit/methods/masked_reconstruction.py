"""Hide patches, predict them, score the hidden ones: what masked autoencoders of any architecture share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from studykit.layers.patches import patchify, split_mask, take_tokens, unpatchify
from studykit.losses import build_loss
from studykit.masking import hide_first, inside_field_of_view, move_to, num_masked, patch_noise
from studykit.methods.patch_masked import PatchMasked
from studykit.models import build_model


class MaskedReconstruction(PatchMasked):
    """A model that maps (volume, mask) to patches, with a mask ratio and a loss.

    Args:
        model: name of a model whose ``forward(volume, mask, num_visible)`` predicts every patch.
        mask_ratio: share of patches hidden.
        loss: name of a loss on masked patches; one that ``needs_context`` also gets the volume, as it came,
            and the places of the hidden patches.
        loss_options: its options.
        normalise_target: score against each target patch standardised by its own mean and deviation.
        model_options: the model's options.
        fov_aware: in training, show patches inside the field of view only, as far as there are enough; those
            outside are hidden and scored like any other (as in BertsWin's released code).
    """

    version = 1
    takes_loss = True

    def __init__(
        self,
        model: str,
        mask_ratio: float = 0.75,
        loss: str = "l2",
        loss_options: Mapping[str, Any] | None = None,
        normalise_target: bool = False,
        model_options: Mapping[str, Any] | None = None,
        fov_aware: bool = False,
    ) -> None:
        super().__init__()
        self.model = build_model(model, **(model_options or {}))
        self.loss = build_loss(loss, **(loss_options or {}))
        self.mask_ratio = mask_ratio
        self.normalise_target = normalise_target
        self.fov_aware = fov_aware
        self.grid = self.model.grid
        self.num_visible = self.grid[0] * self.grid[1] * self.grid[2] - num_masked(self.grid, mask_ratio)

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
        target = take_tokens(patchify(volume, self.model.patch_size), hidden)
        context = (volume, hidden) if getattr(self.loss, "needs_context", False) else ()
        return self.loss(take_tokens(prediction, hidden), self._normalised(target), *context)

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Volume with its hidden patches replaced by their prediction, (B, C, D, H, W), in input intensities.

        With ``normalise_target`` a prediction is scaled back by the true patch's mean and deviation, as is
        usual for pictures: it shows texture, not brightness.
        """
        prediction = self.model(volume, mask).float()
        patches = patchify(volume, self.model.patch_size)
        if self.normalise_target:
            mean, deviation = _patch_statistics(patches)
            prediction = prediction * deviation + mean
        hidden = mask.flatten(1)[:, :, None, None, None, None]
        return unpatchify(torch.where(hidden, prediction, patches), self.grid)

    def _normalised(self, target: Tensor) -> Tensor:
        if not self.normalise_target:
            return target
        mean, deviation = _patch_statistics(target)
        return (target - mean) / deviation


def _patch_statistics(patches: Tensor, epsilon: float = 1e-6) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(patches.float(), dim=(2, 3, 4, 5), keepdim=True, correction=0)
    return mean, (variance + epsilon).sqrt()


class BertsWin(MaskedReconstruction):
    """:class:`~studykit.models.bertswin.BertsWinNet` under masked reconstruction.

    Args:
        mask_ratio, loss, loss_options, normalise_target, fov_aware: see :class:`MaskedReconstruction`.
        model_options: sizes of the model.
    """

    version = 1
    architecture = "bertswin"

    def __init__(
        self,
        mask_ratio: float = 0.75,
        loss: str = "l2",
        loss_options: Mapping[str, Any] | None = None,
        normalise_target: bool = False,
        fov_aware: bool = False,
        **model_options: Any,
    ) -> None:
        super().__init__(
            self.architecture, mask_ratio, loss, loss_options, normalise_target, model_options, fov_aware
        )


class MaskedAutoencoder(MaskedReconstruction):
    """:class:`~studykit.models.mae_vit.MaskedAutoencoderViT` under masked reconstruction.

    Args:
        mask_ratio, loss, loss_options, normalise_target, fov_aware: see :class:`MaskedReconstruction`.
        model_options: sizes of the model.
    """

    version = 1
    architecture = "mae-vit"

    def __init__(
        self,
        mask_ratio: float = 0.75,
        loss: str = "l2",
        loss_options: Mapping[str, Any] | None = None,
        normalise_target: bool = False,
        fov_aware: bool = False,
        **model_options: Any,
    ) -> None:
        super().__init__(
            self.architecture, mask_ratio, loss, loss_options, normalise_target, model_options, fov_aware
        )
