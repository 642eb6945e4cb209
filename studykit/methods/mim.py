"""MiM: reconstruction under nested masks with features aligned over levels, on a sparse encoder.

Two readings of "mask in mask" have this name. "nested" is that of the RSNA 2025 blueprint, one pass over one
crop, with a loss in which the second level matters: blocks are hidden, the fine mask says which of their
patches stay hidden and which are opened again as clues, and the loss has a term for each level. "three-level"
is the published one (Zhuang et al., arXiv 2404.15580), a pass for each of three scales. "random" and "vessel"
masks make the comparison.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from studykit.layers.patches import cut, join, patchify, split_mask
from studykit.losses import build_loss
from studykit.losses.alignment import CrossLevelAlignment
from studykit.losses.nested import block_mean_error
from studykit.masking import random_patch_mask
from studykit.methods.encoder_painting import EncoderPainting
from studykit.methods.hidden_patches import hidden_terms, painted
from studykit.methods.mim_masks import MASKINGS, NestedMasks
from studykit.methods.mim_views import ThreeLevelMasks, features_at_children, three_level_views
from studykit.models import build_model
from studykit.registry import build, check_known

FIXED_RATIO = 0.6
"""Share of the patches that :meth:`Mim.fixed_masks` hides."""


class Mim(EncoderPainting):
    """An encoder under masked reconstruction, with any of the maskings and optional alignment.

    :meth:`from_options` gives the form that the masking asks for, :class:`OnePassMim` or
    :class:`ThreeLevelMim`.

    Masks are drawn on the grid of the encoder's coarsest map, whose cells are the patches. A sparse
    encoder works on visible patches alone, and the decoder puts tokens where its maps are empty; any other
    sees zeros at hidden patches.

    Args:
        model: name of an architecture with ``encoder``, ``channels`` and ``strides``; its decoder and head
            are left out.
        masking: "random", "nested", "vessel" or "three-level".
        masking_options: fields of its class in :mod:`studykit.methods.mim_masks`.
        coarse_weight: of the coarse level's term under nested masks.
        alignment: weight of the alignment of levels; 0 leaves it out. Levels are the encoder's stages,
            aligned at visible cells. With "three-level" they are the views: a child is the mean of its
            visible cells, its parent what the encoder, shown all of the parent view, says of the child's
            place, without gradient. (The published code aligns features of its decoder instead.)
        alignment_options: of :class:`~studykit.losses.alignment.CrossLevelAlignment`.
        loss: name of a loss on masked patches; the sum of its terms counts.
        loss_options: its options.
        normalise_target: score against each target patch standardised by its own mean and deviation.
        decoder_width: channels of the decoder at the coarsest map.
        img_size: voxels along (D, H, W) of what the encoder sees, or one number; crops are of that size, for
            "three-level" twice as large.
        model_options: the model's options.

    Raises:
        ValueError: unknown name or option, patches that are not cubes, a grid that cannot be masked so, or
            nested masks with a normalised target, which has no block means.
    """

    version = 1
    takes_loss = True
    architecture = "wave-unet"
    aligned_maps: ClassVar[slice]
    """Which of the encoder's maps, fine to coarse, alignment has heads for."""

    def __init__(
        self,
        model: str = architecture,
        masking: str = "nested",
        masking_options: Mapping[str, Any] | None = None,
        coarse_weight: float = 1.0,
        alignment: float = 0.0,
        alignment_options: Mapping[str, Any] | None = None,
        loss: str = "l2",
        loss_options: Mapping[str, Any] | None = None,
        normalise_target: bool = False,
        decoder_width: int = 64,
        img_size: int | Sequence[int] = 96,
        **model_options: Any,
    ) -> None:
        network = build_model(model, img_size=img_size, in_channels=1, **model_options)
        super().__init__(
            network, sparse=network.sparse, img_size=img_size, in_channels=1, decoder_width=decoder_width
        )
        if len(set(self.patch_size)) != 1:
            raise ValueError(
                f"the coarsest map's cells are {self.patch_size} voxels; masked reconstruction needs cubes"
            )
        self.masking = build("masking", MASKINGS, masking, masking_options or {})
        self.masking.check(self.grid)
        self.batch_channels = self.masking.batch_channels
        self.loss = build_loss(loss, **(loss_options or {}))
        self.normalise_target = normalise_target
        self.coarse_weight = coarse_weight if isinstance(self.masking, NestedMasks) else 0.0
        if self.coarse_weight and normalise_target:
            raise ValueError(
                "patches standardised one by one have no block means: set coarse_weight=0 or leave "
                "normalise_target off"
            )
        self.alignment_weight = alignment
        channels = network.channels[self.aligned_maps]
        self.alignment = CrossLevelAlignment(channels, **(alignment_options or {})) if alignment else None

    @classmethod
    def from_options(cls, masking: str = "nested", **options: Any) -> "Mim":
        """The form that the masking asks for.

        Raises:
            ValueError: unknown masking; the message lists the known ones.
        """
        check_known("masking", masking, MASKINGS)
        form = ThreeLevelMim if masking == "three-level" else OnePassMim
        return form(masking=masking, **options)

    @property
    def terms(self) -> tuple[str, ...]:
        given = {"reconstruction": True, "coarse": self.coarse_weight, "alignment": self.alignment_weight}
        return tuple(name for name, weight in given.items() if weight)

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Masks of ``rows`` of a batch, ``True`` = hidden: bool (b, d, h, w), or (b, L, d, h, w) where there
        are several a crop (see :mod:`studykit.methods.mim_masks`).

        The generator moves on alike whatever the rows and the volumes are.

        Args:
            volumes: the training crops of those rows, on whose device the masks come; "vessel" takes its
                weights from their channel 1, and without volumes it draws uniformly.
        """
        return self.masking.draw(self.grid, batch_size, generator, volumes, rows)

    def fixed_masks(self, count: int, crop_size: int, generator: torch.Generator) -> Tensor:
        """Random masks of whole crops, alike for every masking: bool (count, d, h, w)."""
        return random_patch_mask([crop_size // p for p in self.patch_size], FIXED_RATIO, count, generator)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Weighted loss terms.

        Args:
            volume: (B, 1, D, H, W), or with further channels, which are not seen; D, H, W are ``img_size``,
                for "three-level" twice that.
            mask: from :meth:`draw_masks`.

        Returns:
            ``reconstruction``, under nested masks ``coarse``, with alignment ``alignment``; their sum is
            minimised.

        Raises:
            ValueError: crops of another size.
        """
        expected = tuple(self.masking.crop_scale * n for n in self.img_size)
        if tuple(volume.shape[2:]) != expected:
            raise ValueError(
                f"this masking takes crops of {expected} voxels for img_size {self.img_size}, got "
                f"{tuple(volume.shape[2:])}"
            )
        return self._score(volume[:, :1], mask)

    @abstractmethod
    def _score(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """:meth:`forward`, of the image alone, whose size fits."""

    def encode(self, volume: Tensor) -> list[Tensor]:
        """The encoder's maps of the unmasked image in channel 0, fine to coarse."""
        return self.model.encode(volume[:, :1])

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """Volume (B, 1, D, H, W) with its hidden patches replaced by their prediction, in input intensities.

        Every masking paints by the same one pass, so that arms are compared on the same masks. A volume that
        is larger than ``img_size`` is painted tile by tile.

        Args:
            volume: sizes are multiples of ``img_size``.
            mask: bool (B, d, h, w), one plain mask; as many patches as the volume has.
        """
        tiles = [n // m for n, m in zip(volume.shape[2:], self.img_size, strict=True)]
        image = cut(volume[:, :1], tiles)
        hidden = cut(mask[:, None], tiles).flatten(0, 1)[:, 0]
        truth = image.flatten(0, 1)
        prediction = self._paint(truth, hidden)[1]
        restored = painted(truth, prediction, hidden, normalise_target=self.normalise_target)
        return join(restored.unflatten(0, image.shape[:2]), tiles)

    def _error(self, prediction: Tensor, image: Tensor, hidden: Tensor, count: int) -> Tensor:
        """The loss over ``count`` hidden patches a sample."""
        places = split_mask(hidden, hidden[0].numel() - count)[1]
        patches = patchify(prediction.float(), self.patch_size[0])
        terms = hidden_terms(
            self.loss, patches, image.float(), places, normalise_target=self.normalise_target
        )
        return torch.stack(list(terms.values())).sum()


class OnePassMim(Mim):
    """One pass over one crop: the forms of which the plain mask of a sample says all that is hidden."""

    aligned_maps = slice(None)

    def _score(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = mask if mask.ndim == 4 else mask[:, 1]
        count = self.masking.hidden(self.grid)
        maps, prediction = self._paint(image, hidden, count)
        terms = {"reconstruction": self._error(prediction, image, hidden, count)}
        if self.coarse_weight:
            error = block_mean_error(prediction, image, mask[:, 0], self.masking.coarse_block)
            terms["coarse"] = self.coarse_weight * error
        if self.alignment is not None:
            terms["alignment"] = self.alignment_weight * self.alignment(maps, ~hidden)
        return terms


class ThreeLevelMim(Mim):
    """A pass for each of three scales, whose errors add up as published; so do both alignments, up-mid and
    mid-down."""

    aligned_maps = slice(-1, None)

    def _score(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        masks = ThreeLevelMasks.unpack(mask, self.masking.mids)
        views = three_level_views(image, masks)
        errors, summaries = [], []
        for view, hidden, count in zip(
            views,
            (masks.up, masks.mid.flatten(0, 1), masks.down.flatten(0, 1)),
            self.masking.hidden(self.grid),
            strict=True,
        ):
            maps, prediction = self._paint(view, hidden, count)
            errors.append(self._error(prediction, view, hidden, count))
            summaries.append(_mean_visible(maps[-1], hidden))
        terms = {"reconstruction": torch.stack(errors).sum()}
        if self.alignment is not None:
            with torch.no_grad():
                shown = [self.model.encode(view)[-1] for view in (views.up, views.mid)]
            places = features_at_children(*shown, masks)
            pairs = [self.alignment.compare(c, p) for c, p in zip(summaries[1:], places, strict=True)]
            terms["alignment"] = self.alignment_weight * torch.stack(pairs).sum()
        return terms


def _mean_visible(features: Tensor, hidden: Tensor) -> Tensor:
    """Mean of (B, C, d, h, w) over visible cells, (B, C)."""
    visible = ~hidden[:, None]
    return (features * visible).sum((2, 3, 4)) / visible.sum((2, 3, 4)).clamp(min=1)
