"""Classification of whole crops by labels of their subjects: an encoder with a classifier, or that alone.

Its batches have the image in channel 0 and the number of the subject's class in channel 1, the same in every
voxel.
"""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.methods.method import Method
from studykit.models import build_model
from studykit.models.encoder_classifier import EncoderClassifier
from studykit.models.encoder_decoder import EncoderDecoder

UNKNOWN = -1
"""Class number of a subject that is not labelled."""


class Classifier(Method):
    """A network with a classifier, and cross-entropy.

    Args:
        model: name of a model whose ``forward(image)`` gives logits (B, num_classes), with parts ``encoder``
            and ``head``; or one with a decoder, whose encoder gets a linear classifier on its coarsest map.
        num_classes: two or more.
        label_smoothing: share of a label that is spread evenly over all classes.
        frozen: keep the encoder as it starts, without dropout or gradient: a linear probe.
        model_options: the model's options, ``img_size`` among them.

    Raises:
        ValueError: fewer than two classes, or a smoothing outside [0, 1).
    """

    version = 1
    task = "classification"
    architecture = "vit-classifier"
    batch_channels = 2
    terms = ("cross_entropy",)

    def __init__(
        self,
        model: str = architecture,
        num_classes: int = 2,
        label_smoothing: float = 0.0,
        frozen: bool = False,
        **model_options: Any,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        network = build_model(model, num_classes=num_classes, **model_options)
        painter = isinstance(network, EncoderDecoder)
        self.model = EncoderClassifier(network, num_classes) if painter else network
        self.label_smoothing, self.frozen = label_smoothing, frozen
        self.model.encoder.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> Self:
        """As of any module; a frozen encoder stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.model.encoder.eval()
        return self

    def forward(self, batch: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Cross-entropy, meant over the labelled samples; 0 where there are none. ``mask`` is not read.

        Args:
            batch: (B, 2, D, H, W), image and class number, -1 where the subject is not labelled.

        Raises:
            ValueError: another number of channels.
        """
        if batch.shape[1] != self.batch_channels:
            raise ValueError(
                "classification needs labelled crops, (B, 2, D, H, W) with image and class number, got "
                f"{tuple(batch.shape)}"
            )
        classes = batch[:, 1, 0, 0, 0].round().long()
        logits = self.model(batch[:, :1]).float()
        total = F.cross_entropy(
            logits, classes, ignore_index=UNKNOWN, reduction="sum", label_smoothing=self.label_smoothing
        )
        return {"cross_entropy": total / (classes != UNKNOWN).sum().clamp(min=1)}

    def encode(self, volume: Tensor) -> Tensor:
        """The encoder's tokens of images (B, 1, D, H, W), or of a labelled batch: (B, T, width)."""
        return self.model.encode(volume[:, :1])

    @torch.no_grad()
    def score(self, volumes: Tensor) -> Tensor:
        """Images (B, 1, D, H, W) to probabilities (B, num_classes)."""
        return self.model(volumes).float().softmax(dim=1)
