"""SimCLR (Chen et al. 2020) on volumes: two changed views of a crop are to find each other among all others.

What a view may differ by: where it lies, flips, intensities, and groups of patches that are noise.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.losses.contrastive import nt_xent
from studykit.losses.ranks import rows_of_all_ranks
from studykit.masking import move_to
from studykit.methods.masked_modelling import MaskedModelling
from studykit.methods.views import Views, corrupt, cut_patches, draw_views, replaced
from studykit.metrics.collapse import feature_signs
from studykit.models import build_model

VIEWS = 2
NUMBERS = 3
"""Numbers that decide the intensities of a view, in thousandths: gain, shift and curve."""
GAIN, SHIFT, CURVE = (0.75, 1.25), (-0.25, 0.25), (-0.5, 0.5)
"""Factor of the distance to the mean; what is added, in deviations; log2 of the exponent on the range."""


class SimClr(MaskedModelling):
    """The class token of a vision transformer, projected and contrasted; crops of a batch count as others.

    The projection standardises its channels over the batch, as SimCLR's released code does. Heads in one
    place look alike (cosine 0.98 between class tokens of untrained networks), and without it their small
    differences hardly reach the loss.

    Args:
        img_size: voxels along each axis of a view.
        crop_size: of the crops that views are cut from; by default no larger, so that both views show the
            same place.
        hidden: share of a view's patches that become noise.
        temperature: divides the cosines.
        projection: outputs of the projection.
        model: name of a model with class and patch tokens.
        model_options: sizes of the model.

    Raises:
        ValueError: a crop that is no multiple of the patch or smaller than a view.
    """

    version = 2
    """2: the projection standardises over the batch."""
    least_batch = 2
    architecture = "vit"
    paints = False
    terms = ("contrast",)

    def __init__(
        self,
        img_size: int = 64,
        crop_size: int | None = None,
        hidden: float = 0.25,
        temperature: float = 0.5,
        projection: int = 128,
        model: str = architecture,
        **model_options: Any,
    ) -> None:
        super().__init__()
        self.model = build_model(model, img_size=img_size, **model_options)
        self.crop_size = img_size if crop_size is None else crop_size
        self.patch_size = p = self.model.patch_size
        if self.crop_size % p or self.crop_size < img_size:
            raise ValueError(
                f"crop_size ({self.crop_size}) must be a multiple of patch_size ({p}), and no smaller than "
                f"img_size ({img_size})"
            )
        self.grid, self.view = (self.crop_size // p,) * 3, self.model.grid
        self.hidden, self.temperature = hidden, temperature
        self.replaced = replaced(self.view, hidden, 0.0)
        width = self.model.embed_dim
        self.projector = nn.Sequential(
            Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.GELU(),
            Linear(width, projection, bias=False),
            nn.BatchNorm1d(projection, affine=False),
        )

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Where views lie, how they are turned and what becomes noise, see
        :class:`~studykit.methods.views.Views`, then thousandths for :func:`tinted`: int64 (b, K)."""
        options = {"hidden": self.hidden, "swapped": 0.0, "batch": batch_size, "generator": generator}
        views = draw_views(self.grid, self.view, VIEWS, **options)
        tints = torch.randint(1000, (batch_size, VIEWS * NUMBERS), generator=generator)
        return move_to(torch.cat([views.pack(), tints], dim=1)[rows], volumes)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """NT-Xent of the views of all crops, in training those of all ranks, each of which says the same.

        Args:
            volume: (B, 1, D, H, W), crops of ``crop_size``.
            mask: from :meth:`draw_masks`.

        Raises:
            ValueError: a batch of 1, or crops of another size.
        """
        if len(volume) < self.least_batch:
            raise ValueError(
                "SimCLR contrasts the crops of a batch with each other: it takes two at least at once, got "
                "1. Use a larger batch_size, or fewer parts or processes that share it"
            )
        if tuple(volume.shape[2:]) != (self.crop_size,) * 3:
            raise ValueError(
                f"views are cut from crops of {self.crop_size}³ voxels, got {tuple(volume.shape[2:])}: set "
                "crop_size to that of the data"
            )
        cls, _ = self.model.read(self._views(volume, mask), self.view)
        return {"contrast": self.contrast(cls)}

    def contrast(self, cls: Tensor) -> Tensor:
        """NT-Xent of class tokens (2·B, C), those of one view together; in training those of all ranks."""
        crops = cls.unflatten(0, (VIEWS, -1)).transpose(0, 1)
        crops = rows_of_all_ranks(crops)[0] if self.training else crops
        first, second = self.projector(crops.transpose(0, 1).flatten(0, 1)).unflatten(0, (VIEWS, -1))
        return nt_xent(first, second, self.temperature)

    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Not possible.

        Raises:
            ValueError: always.
        """
        raise ValueError("SimCLR paints nothing")

    @torch.no_grad()
    def vital_signs(self, volume: Tensor) -> dict[str, float]:
        """Whether what is contrasted has collapsed, see :class:`~studykit.metrics.collapse.FeatureSigns`.

        Alarms heed the projection. Class tokens themselves are looked at beside it: they may share a large
        part, which the projection takes out. Of the middle of each crop, clean; nothing of fewer than three
        crops.
        """
        if len(volume) < 3:
            return {}
        side = self.view[0] * self.patch_size
        first = (self.crop_size - side) // 2
        inside = slice(first, first + side)
        cls = self.model(volume[:, :, inside, inside, inside])[0].float()
        tokens = feature_signs(cls).records("class")
        seen = {name: value for name, value in tokens.items() if name.startswith("class/")}
        return seen | feature_signs(self.projector(cls).float()).records("projection")

    def _views(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Both views of all crops, changed: patches (2·B, T, p³), those of one view together."""
        tints = mask[:, -VIEWS * NUMBERS :].unflatten(1, (VIEWS, NUMBERS)).transpose(0, 1).flatten(0, 1)
        views = Views.unpack(mask[:, : -VIEWS * NUMBERS], math.prod(self.view))
        seen = tinted(cut_patches(volume, views, self.view, self.patch_size), tints / 1000)
        kinds = views.corruption.transpose(0, 1).flatten(0, 1)
        return corrupt(seen, kinds, self.replaced, fixed=not self.training)[0]


def tinted(volumes: Tensor, numbers: Tensor) -> Tensor:
    """Volumes of other intensities: bent on their own range, then their contrast and their mean changed.

    Args:
        volumes: (N, ...), standardised.
        numbers: (N, 3) in [0, 1): where in :data:`GAIN`, :data:`SHIFT` and :data:`CURVE`; in the middle of
            all three nothing changes.
    """
    gain, shift, curve = (
        low + (high - low) * number.to(volumes.dtype).view(-1, *(1,) * (volumes.ndim - 1))
        for (low, high), number in zip((GAIN, SHIFT, CURVE), numbers.unbind(1), strict=True)
    )
    axes = tuple(range(1, volumes.ndim))
    low = volumes.amin(axes, keepdim=True)
    span = (volumes.amax(axes, keepdim=True) - low).clamp(min=1e-6)
    bent = ((volumes - low) / span) ** 2**curve * span + low
    mean = bent.mean(axes, keepdim=True)
    return (bent - mean) * gain + mean + shift
