"""Methods that hide parts of a volume and paint them: what the task of reconstruction asks of a method."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from studykit.methods.method import Method


class MaskedModelling(Method):
    """A method for :mod:`studykit.tasks.reconstruction`, which compares all of them by what they paint.

    Attributes:
        grid: patches of a crop along D, H, W.
        paints: whether it does; one that does not is validated by its own loss, and :meth:`reconstruct`
            raises ValueError.
    """

    task: ClassVar[str] = "reconstruction"
    paints: bool = True
    grid: tuple[int, int, int]

    @abstractmethod
    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor: ...

    @abstractmethod
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Volume with its hidden patches replaced by their prediction, in input intensities.

        Args:
            volume: (B, C, D, H, W).
            mask: bool (B, d, h, w), one plain mask a sample, of any number of patches.

        Returns:
            (B, C, D, H, W), without gradient.
        """

    def vital_signs(self, volume: Tensor) -> dict[str, float]:
        """What validation records beside errors, by name, of held-out crops (B, C, D, H, W); here nothing."""
        return {}

    def fixed_masks(self, count: int, crop_size: int, generator: torch.Generator) -> Tensor:
        """Plain masks for :meth:`reconstruct` of held-out crops: bool (count, d, h, w).

        Arms that are compared have to get the same ones: overridden where training masks are not plain, or
        differ from arm to arm.

        Args:
            crop_size: voxels an axis of those crops.
        """
        return self.draw_masks(count, generator)
