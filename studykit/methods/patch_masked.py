"""What the methods share that hide a fixed share of the patches of each crop, drawn uniformly."""

from typing import Any

import torch
from torch import Tensor, nn

from studykit.masking import draw_patch_masks


class PatchMasked(nn.Module):
    """A model under uniform patch masks; ``forward`` maps (volume, mask) to named loss terms.

    Attributes:
        model: has ``encode``.
        grid: patches of a crop along D, H, W.
        mask_ratio: share of them that is hidden.
    """

    task = "reconstruction"
    model: nn.Module
    grid: tuple[int, int, int]
    mask_ratio: float

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Masks of ``rows`` of a batch: bool (b, d, h, w), ``True`` = hidden, ``mask_ratio`` of each sample.

        The generator moves on alike whatever the rows are.

        Args:
            volumes: those rows, on whose device the masks come; without them they are on the generator's.
        """
        return draw_patch_masks(self.grid, self.mask_ratio, batch_size, generator, volumes, rows)

    def loss_terms(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw masks, then ``forward``: (B, C, D, H, W) to named scalars."""
        return self(batch, self.draw_masks(batch.shape[0], generator, batch))

    def encode(self, volume: Tensor) -> Any:
        """What the model's encoder says of the unmasked volume: maps, fine to coarse, or tokens."""
        return self.model.encode(volume)
