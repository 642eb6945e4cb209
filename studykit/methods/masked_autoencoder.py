"""Masked autoencoder (He et al. 2022): a ViT reads the visible patches, a light decoder paints the rest."""

from collections.abc import Mapping
from typing import Any

from studykit.methods.masked_reconstruction import MaskedReconstruction


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
