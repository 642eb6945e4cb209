"""What every method keeps to, and all that others may ask of one.

    run identity     version, architecture, takes_loss        of the class, before anything is built
    task             task, batch_channels                     which data it learns from
    training loop    begin_step, draw_masks, forward, terms
    probes           encode

The training loop knows no more than :class:`studykit.training.step.Trainable`, which every method is. What
one task asks for beyond this stands with the methods of that task: painting in
:mod:`studykit.methods.masked_modelling`, ``segment`` in :mod:`studykit.methods.supervised`, ``score`` in
:mod:`studykit.methods.detection`.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn


class Method(nn.Module, ABC):
    """A network, what is hidden from it, and a loss. Options are plain values, so that JSON can hold them.

    Attributes:
        version: raised when the same options and seeds give other numbers than before.
        task: what it is trained for, a name of :data:`studykit.tasks.TASKS`.
        architecture: name of the model that it has unless its option ``model`` names another.
        takes_loss: whether its option ``loss`` is a name of :data:`studykit.losses.LOSSES`.
        batch_channels: channels of a training batch: 1, the image; 2, the image and what the task puts beside
            it, such as the class of each voxel.
        least_batch: samples that :meth:`forward` takes at least, 2 where they are held against each other.
        model: the network; what is transferred from one method to another goes by its names in it.
    """

    version: ClassVar[int]
    task: ClassVar[str]
    architecture: ClassVar[str]
    takes_loss: ClassVar[bool] = False
    batch_channels: int = 1
    least_batch: ClassVar[int] = 1
    model: nn.Module

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """The method with ``options``; a family of classes under one name chooses among them here."""
        return cls(**options)

    @property
    @abstractmethod
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms that :meth:`forward` gives."""

    def begin_step(self, step: int, steps: int) -> None:
        """Called before each optimizer step, for what goes by it, schedules and running means; here nothing.

        Args:
            step: how many were taken before.
            steps: of the whole training.
        """

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """What is hidden from the network in ``rows`` of a batch; here nothing, and nothing is drawn.

        The generator moves on alike whatever the rows and the volumes are, so that workers that share a batch
        draw the same.

        Args:
            batch_size: of the whole batch.
            generator: source of all randomness, on the CPU.
            volumes: those rows of the batch, (b, batch_channels, D, H, W), on whose device the masks come;
                without them masks are on the generator's.

        Returns:
            (b, ...), a row for each of ``rows``: bool, ``True`` = hidden, but where a method says otherwise;
            (b, 0) where nothing is.
        """
        device = None if volumes is None else volumes.device
        return torch.empty(batch_size, 0, dtype=torch.bool, device=device)[rows]

    @abstractmethod
    def forward(self, batch: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Loss terms of a batch, without randomness but that of dropout.

        Args:
            batch: (b, batch_channels, D, H, W), standardised intensities in channel 0.
            mask: from :meth:`draw_masks`.

        Returns:
            named scalars, weighted, each a mean over the rows; their sum is minimised.
        """

    def loss_terms(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw masks, then :meth:`forward`: (B, batch_channels, D, H, W) to named scalars."""
        return self(batch, self.draw_masks(batch.shape[0], generator, batch))

    def encode(self, volume: Tensor) -> Any:
        """What the model's encoder says of the whole image, nothing hidden: (B, C, D, H, W) to maps, fine to
        coarse, or to tokens (B, T, width)."""
        return self.model.encode(volume)
