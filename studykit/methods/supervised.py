"""Segmentation from labels: any architecture under Dice + cross-entropy, the loss of nnU-Net and nnFormer.

Its batches are those of :class:`~studykit.data.crops.labelled_crops.LabelledCrops`: channel 0 the image,
channel 1 the class of each voxel.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.losses.dice_cross_entropy import dice_and_cross_entropy
from studykit.methods.method import Method
from studykit.models import build_model


class Supervised(Method):
    """A segmentation network and its loss.

    Args:
        model: name of a model whose ``forward(image)`` gives logits (B, num_classes, D, H, W), or in training
            with deep supervision a list of them, finest first.
        num_classes: classes, background included.
        img_size: voxels along (D, H, W) of a crop, or one number.
        dice_weight, cross_entropy_weight: of the two terms.
        model_options: the model's options.

    Raises:
        ValueError: fewer than two classes, or weights that are negative or both 0.
    """

    version = 1
    task = "segmentation"
    architecture = "nnformer"
    batch_channels = 2
    terms = ("dice", "cross_entropy")

    def __init__(
        self,
        model: str = "nnformer",
        *,
        num_classes: int,
        img_size: int | tuple[int, int, int],
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        **model_options: Any,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background and at least one more, got {num_classes}")
        if min(dice_weight, cross_entropy_weight) < 0 or dice_weight == cross_entropy_weight == 0:
            raise ValueError(
                "dice_weight and cross_entropy_weight must not be negative nor both 0, got "
                f"{dice_weight} and {cross_entropy_weight}"
            )
        self.model = build_model(model, img_size=img_size, num_classes=num_classes, **model_options)
        self.dice_weight, self.cross_entropy_weight = dice_weight, cross_entropy_weight

    def forward(self, volume: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted loss terms, each a mean over the samples.

        With deep supervision each is summed over the outputs, the i-th with weight 1/2^i over the sum of the
        weights; a coarse output is held against the labels nearest to its voxels.

        Args:
            volume: (B, 2, D, H, W), image and class numbers, -1 where a voxel is not labelled.

        Returns:
            ``dice`` and ``cross_entropy``; their sum is minimised.

        Raises:
            ValueError: another number of channels.
        """
        if volume.shape[1] != self.batch_channels:
            raise ValueError(
                "supervised training needs labelled crops, (B, 2, D, H, W) with image and class number, got "
                f"{tuple(volume.shape)}"
            )
        outputs = self.model(volume[:, :1])
        outputs = [outputs] if isinstance(outputs, Tensor) else outputs
        shares = [0.5**index for index in range(len(outputs))]
        terms = {"dice": 0.0, "cross_entropy": 0.0}
        for logits, share in zip(outputs, shares, strict=True):
            dice, cross_entropy = dice_and_cross_entropy(logits, _resized(volume[:, 1:], logits.shape[2:]))
            terms["dice"] += self.dice_weight * share / sum(shares) * dice
            terms["cross_entropy"] += self.cross_entropy_weight * share / sum(shares) * cross_entropy
        return terms

    def encode(self, volume: Tensor) -> list[Tensor]:
        """The encoder's maps of images (B, 1, D, H, W), fine to coarse; of a labelled batch too."""
        return self.model.encode(volume[:, :1])

    def segment(self, volumes: Tensor) -> Tensor:
        """Logits (N, num_classes, D, H, W) of images (N, 1, D, H, W)."""
        logits = self.model(volumes)
        return logits if isinstance(logits, Tensor) else logits[0]


def _resized(classes: Tensor, size: torch.Size) -> Tensor:
    """(B, 1, D, H, W) class numbers to int64 (B, *size) by nearest neighbour."""
    if classes.shape[2:] != size:
        classes = F.interpolate(classes, size, mode="nearest-exact")
    return classes[:, 0].long()
