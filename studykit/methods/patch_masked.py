"""What the methods share that hide a fixed share of the patches of each crop, drawn uniformly."""

import torch
from torch import Tensor

from studykit.masking import draw_patch_masks
from studykit.methods.masked_modelling import MaskedModelling


class PatchMasked(MaskedModelling):
    """Masked modelling under uniform patch masks.

    Attributes:
        mask_ratio: share of the patches of ``grid`` that is hidden.
    """

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
