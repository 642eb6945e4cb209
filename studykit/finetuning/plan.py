"""What a fine-tuning is: data, encoder, task and sizes, checked before any volume is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from studykit.data.aneurysms import has_aneurysms
from studykit.data.sources import check_source_name
from studykit.finetuning.network import network_of
from studykit.pretraining import weights_file
from studykit.registry import check_known
from studykit.training.config import TrainingConfig

METHODS = {"segmentation": "supervised", "classification": "classification", "detection": "detection"}
"""What a task is trained by."""

WHOLE_NUMBERS = ("batch_size", "steps", "seed")
NUMBERS = ("spacing_mm", "lr", "val", "test")


@dataclass(frozen=True, kw_only=True)
class FinetuningPlan:
    """A fine-tuning.

    Attributes:
        data: labelled source, see :mod:`studykit.data.labelled`, :mod:`studykit.data.traits` and
            :mod:`studykit.data.aneurysms`.
        encoder: weights that :func:`studykit.pretraining.pretrain` left, or their folder; None for random
            weights, the baseline that a pre-training owes.
        task: one of :data:`METHODS`; by default detection where aneurysms are known, classification where a
            ``trait`` is named, else segmentation.
        trait: of the subjects, that is told apart.
        model: architecture; by default the encoder's. Where it names no decoder for the task, see
            :mod:`studykit.finetuning.network`.
        model_options: its sizes, beyond the encoder's.
        spacing_mm: voxel size.
        crop_size: voxels an axis of a crop, or of the whole field of view; by default the encoder's.
        val, test: shares of the subjects that validate, and that are tested once.
        seed: of the split, new weights and order.

    Raises:
        ValueError: an unknown name (the message lists the known ones), a value out of range, or neither an
            encoder nor a model.
        FileNotFoundError: there is no such encoder.
    """

    data: str
    encoder: str | Path | None = None
    task: str | None = None
    trait: str | None = None
    model: str | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    spacing_mm: float = 1.0
    crop_size: int | None = None
    batch_size: int = 2
    steps: int = 1000
    lr: float = 1e-3
    precision: str = "fp32"
    val: float = 0.15
    test: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        check_source_name(self.data)
        if self.task is not None:
            check_known("task", self.task, METHODS)
        if (self.trait is None) == (self.kind == "classification"):
            raise ValueError(
                f"trait is {self.trait!r} for {self.kind}: classification needs the name of one, and only it"
            )
        for name in WHOLE_NUMBERS:
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} must be a whole number, got {getattr(self, name)!r}.")
        for name in NUMBERS:
            if not isinstance(getattr(self, name), Real):
                raise ValueError(f"{name} must be a number, got {getattr(self, name)!r}.")
        if not (0 < self.val < 1 and 0 < self.test < 1 and self.val + self.test < 1):
            raise ValueError(
                f"val and test must be shares that leave some to train, got {self.val}, {self.test}"
            )
        if self.encoder is None and self.model is None:
            raise ValueError("name an encoder to start from, or a model to start at random")

    @property
    def kind(self) -> str:
        """The task, named or found."""
        if self.task is not None:
            return self.task
        if self.trait is not None:
            return "classification"
        return "detection" if has_aneurysms(self.data) else "segmentation"

    @property
    def weights(self) -> Path | None:
        """The file of the encoder's weights."""
        return None if self.encoder is None else weights_file(self.encoder)

    def network(self) -> dict[str, Any]:
        """``model`` and its options; what the plan says goes before what the encoder's file says.

        Raises:
            ValueError: the file does not say what it is of, or no size of the crop is known.
        """
        named = {"model": self.model} if self.model else {}
        named |= dict(self.model_options)
        if self.crop_size is not None:
            named["img_size"] = self.crop_size
        return network_of(self.weights, self.kind, named)

    @property
    def training(self) -> TrainingConfig:
        """AdamW with a tenth of the steps as warm-up; the weights that validate best are kept."""
        return TrainingConfig(
            steps=self.steps,
            batch_size=self.batch_size,
            lr=self.lr,
            warmup_steps=self.steps // 10,
            clip_norm=1.0,
            eval_every=max(self.steps // 10, 1),
            checkpoint_every=max(self.steps // 10, 1),
            precision=self.precision,
            keep_best=True,
        )
