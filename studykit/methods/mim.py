"""MiM: reconstruction under nested masks with features aligned over levels, on a sparse encoder.

Two readings of "mask in mask" have this name. "nested" is that of the RSNA 2025 blueprint, one pass over one
crop, with a loss in which the second level matters: blocks are hidden, the fine mask says which of their
patches stay hidden and which are opened again as clues, and the loss has a term for each level. "three-level"
is the published one (Zhuang et al., arXiv 2404.15580), a pass for each of three scales. "random" and "vessel"
masks make the comparison.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.packed_patches import PackedPatches
from studykit.layers.patches import patchify, split_mask, take_tokens
from studykit.layers.visibility import hide, visible_at
from studykit.losses import build_loss
from studykit.losses.alignment import CrossLevelAlignment
from studykit.losses.nested import block_mean_error
from studykit.masking import random_patch_mask
from studykit.methods.mim_masks import MASKINGS, NestedMasks, ThreeLevels, VesselMasks
from studykit.methods.mim_views import (
    ThreeLevelMasks,
    cut,
    features_at_children,
    join,
    three_level_views,
)
from studykit.models import build_model
from studykit.models.light_decoder import LightDecoder
from studykit.registry import build

FIXED_RATIO = 0.6
"""Share of the patches that :meth:`Mim.fixed_masks` hides."""


class Mim(nn.Module):
    """An encoder under masked reconstruction, with any of the maskings and optional alignment.

    Masks are drawn on the grid of the encoder's coarsest map, whose cells are the patches. An encoder whose
    forward pass takes ``visible`` works on visible patches alone, and the decoder puts tokens where its maps
    are empty; any other sees zeros at hidden patches.

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
    task = "reconstruction"
    takes_loss = True
    architecture = "wave-unet"

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
        super().__init__()
        self.masking = build("masking", MASKINGS, masking, masking_options or {})
        self.model = build_model(model, img_size=img_size, in_channels=1, **model_options)
        self.model.decoder, self.model.head = nn.Identity(), nn.Identity()
        self.sparse = "visible" in inspect.signature(self.model.encoder.forward).parameters
        self.decoder = LightDecoder(self.model.channels, self.model.strides, 1, decoder_width)
        self.decoder.mask_tokens.requires_grad_(self.sparse)
        self.loss = build_loss(loss, **(loss_options or {}))
        self.normalise_target = normalise_target
        self.img_size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        self.patch_size = self._cube(self.model.strides[-1])
        self.grid = tuple(n // self.patch_size for n in self.img_size)
        self.masking.check(self.grid)
        self.batch_channels = 2 if isinstance(self.masking, VesselMasks) else 1
        self.coarse_weight = coarse_weight if isinstance(self.masking, NestedMasks) else 0.0
        if self.coarse_weight and normalise_target:
            raise ValueError(
                "patches standardised one by one have no block means: set coarse_weight=0 or leave "
                "normalise_target off"
            )
        self.alignment_weight = alignment
        channels = self.model.channels
        if isinstance(self.masking, ThreeLevels):
            channels = channels[-1:]
        self.alignment = CrossLevelAlignment(channels, **(alignment_options or {})) if alignment else None

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
        return random_patch_mask((crop_size // self.patch_size,) * 3, FIXED_RATIO, count, generator)

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
        scale = 2 if isinstance(self.masking, ThreeLevels) else 1
        expected = tuple(scale * n for n in self.img_size)
        if tuple(volume.shape[2:]) != expected:
            raise ValueError(
                f"this masking takes crops of {expected} voxels for img_size {self.img_size}, got "
                f"{tuple(volume.shape[2:])}"
            )
        image = volume[:, :1]
        return self._three_levels(image, mask) if scale == 2 else self._one_pass(image, mask)

    def loss_terms(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw masks, then :meth:`forward`: (B, C, D, H, W) to named scalars."""
        return self(batch, self.draw_masks(batch.shape[0], generator, batch))

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
        prediction = self._paint(truth, hidden)[1].float()
        if self.normalise_target:
            patches = patchify(truth, self.patch_size)
            variance, mean = torch.var_mean(patches, dim=(2, 3, 4, 5), correction=0)
            spread, level = (
                visible_at(values.view(-1, *self.grid), truth.shape[2:])
                for values in ((variance + 1e-6).sqrt(), mean)
            )
            prediction = prediction * spread + level
        painted = torch.where(visible_at(hidden, truth.shape[2:]), prediction, truth)
        return join(painted.unflatten(0, image.shape[:2]), tiles)

    def _one_pass(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
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

    def _three_levels(self, crop: Tensor, packed: Tensor) -> dict[str, Tensor]:
        """Errors of the three levels add up, as published; so do both alignments, up-mid and mid-down."""
        masks = ThreeLevelMasks.unpack(packed, self.masking.mids)
        views = three_level_views(crop, masks)
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

    def _paint(self, image: Tensor, hidden: Tensor, count: int | None = None) -> tuple[list[Tensor], Tensor]:
        """The encoder's maps of what is visible, and the prediction of the whole image (B, 1, D, H, W).

        On the meta device masks have no values, and operations are counted as if everything were visible.

        Args:
            count: hidden patches of each sample, where that is known.
        """
        visible = None if image.is_meta else ~hidden
        seen = hide(image, visible)
        if not self.sparse or visible is None:
            maps = self.model.encoder(seen)
            return maps, self.decoder(maps)
        shown = None if count is None else hidden.numel() - count * len(hidden)
        packed = PackedPatches(visible, shown)
        maps = self.model.encoder(seen, packed)
        return maps, self.decoder(maps, packed)

    def _error(self, prediction: Tensor, image: Tensor, hidden: Tensor, count: int) -> Tensor:
        """The loss over ``count`` hidden patches a sample."""
        places = split_mask(hidden, hidden[0].numel() - count)[1]
        predicted, target = (
            take_tokens(patchify(x, self.patch_size), places) for x in (prediction.float(), image.float())
        )
        if self.normalise_target:
            target = F.layer_norm(target, target.shape[2:], eps=1e-6)
        context = (image, places) if getattr(self.loss, "needs_context", False) else ()
        return torch.stack(list(self.loss(predicted, target, *context).values())).sum()

    @staticmethod
    def _cube(stride: Sequence[int]) -> int:
        if len(set(stride)) != 1:
            raise ValueError(
                f"the coarsest map's cells are {tuple(stride)} voxels; masked reconstruction needs cubes"
            )
        return stride[0]


def _mean_visible(features: Tensor, hidden: Tensor) -> Tensor:
    """Mean of (B, C, d, h, w) over visible cells, (B, C)."""
    visible = ~hidden[:, None]
    return (features * visible).sum((2, 3, 4)) / visible.sum((2, 3, 4)).clamp(min=1)
