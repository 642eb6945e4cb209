"""Aneurysm detection: an encoder, a light top that marks cells of a coarse grid, a soft maximum over them.

Source of the task: RSNA 2025 Intracranial Aneurysm Detection, 13 places and "aneurysm present" a series, with
a point for each aneurysm; the points supervise the cells, the largest cell is the volume's score.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.data.angiography.sites import LABELS, SITES
from studykit.methods.method import Method
from studykit.models import build_model

WIDTH = 32
"""Channels of the top."""
PRIOR = 0.01
"""Share of cells that the top takes for an aneurysm before it is trained."""


class Detector(Method):
    """Detect aneurysms in whole fields of view of one size.

    A batch is (B, 2, D, H, W): the image, and the site's number in each aneurysm voxel, 0 elsewhere (see
    :data:`studykit.data.angiography.sites.SITES`). The encoder's weights are under ``model.encoder``; the
    model's decoder and head are left out.

    Args:
        model: name of a model with ``encode``, ``channels`` and ``strides``.
        img_size: voxels along D, H, W, or one number.
        cell: least voxels of a cell along an axis; the finest map of the encoder with that stride gives the
            grid of cells, and it and all coarser ones are read.
        model_options: the model's options.

    Raises:
        ValueError: no map of the encoder is that coarse.
    """

    version = 1
    task = "detection"
    architecture = "wave-unet"
    batch_channels = 2
    terms = ("cells", "present", "sites")

    def __init__(
        self,
        model: str = architecture,
        img_size: int | tuple[int, int, int] = 48,
        cell: int = 4,
        **model_options: Any,
    ) -> None:
        super().__init__()
        self.model = build_model(model, img_size=img_size, **model_options)
        self.model.drop_decoder()
        strides = [max(stride) for stride in self.model.strides]
        self.first = next((place for place, stride in enumerate(strides) if stride >= cell), len(strides))
        if self.first == len(strides):
            raise ValueError(f"no map of {model} has cells of {cell} voxels; its strides are {strides}")
        self.cell = tuple(self.model.strides[self.first])
        self.top = CellTop(self.model.channels[self.first :])
        self.calibration = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Loss terms of a batch (B, 2, D, H, W); ``mask`` is not read.

        Returns:
            ``cells``, where the aneurysm is, cells with and without one weighing alike; ``present``, whether
            there is one in the volume; ``sites``, which place a cell with one is of.
        """
        here, sites = self._cells(volume[:, :1])
        target = self._cell_sites(volume[:, 1:])
        there = target > 0
        present = there.flatten(1).any(dim=1).to(here.dtype)
        return {
            "cells": (_mean_where(F.softplus(-here), there) + _mean_where(F.softplus(here), ~there)) / 2,
            "present": F.binary_cross_entropy_with_logits(self._present(here), present),
            "sites": _mean_where(_cross_entropy(sites, target), there),
        }

    @torch.no_grad()
    def score(self, volumes: Tensor) -> Tensor:
        """Images (B, 1, D, H, W) to (B, 14) probabilities, in the order of the challenge's labels.

        A place's score is the soft maximum over cells of "an aneurysm is here, and it is of this place".
        """
        here, sites = self._cells(volumes)
        places = here[:, None] + F.log_softmax(sites, dim=1)
        pooled = [self._present(places[:, place]) for place in range(len(SITES))]
        scores = torch.sigmoid(torch.stack([*pooled, self._present(here)], dim=1))
        assert scores.shape[1] == len(LABELS)
        return scores

    @torch.no_grad()
    def cell_map(self, volumes: Tensor) -> Tensor:
        """Probability of an aneurysm in each cell of images (B, 1, D, H, W): (B, d, h, w)."""
        return torch.sigmoid(self._cells(volumes)[0])

    def _cells(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits a cell: an aneurysm is here (B, d, h, w), and which place it is of (B, 13, d, h, w)."""
        logits = self.top(self.encode(image)[self.first :]).float()
        return logits[:, 0], logits[:, 1:]

    def _present(self, here: Tensor) -> Tensor:
        """Logit a volume, (B,): log mean exp over cells, scaled and shifted by learnt numbers."""
        flat = here.flatten(1)
        pooled = flat.logsumexp(dim=1) - math.log(flat.shape[1])
        return self.calibration[0] * pooled + self.calibration[1]

    def _cell_sites(self, sites: Tensor) -> Tensor:
        """Largest site number in each cell, int64 (B, d, h, w)."""
        return F.max_pool3d(sites, self.cell, self.cell, ceil_mode=True).squeeze(1).long()


class CellTop(nn.Module):
    """Maps of an encoder, fine to coarse, to 1 + 13 logits on the grid of the first.

    Args:
        channels: of the maps.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv3d(width, WIDTH, 1) for width in channels)
        self.mix = nn.Conv3d(WIDTH, WIDTH, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(4, WIDTH) for _ in range(2))
        self.logits = nn.Conv3d(WIDTH, 1 + len(SITES), 1)
        with torch.no_grad():
            self.logits.bias.zero_()
            self.logits.bias[0] = math.log(PRIOR / (1 - PRIOR))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (B, C_i, d_i, h_i, w_i) to logits (B, 14, d_0, h_0, w_0)."""
        size = maps[0].shape[2:]
        merged = sum(_resized(conv(x), size) for conv, x in zip(self.lateral, maps, strict=True))
        merged = F.gelu(self.norms[0](merged))
        merged = merged + F.gelu(self.norms[1](self.mix(merged)))
        return self.logits(merged)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="trilinear", align_corners=False)


def _cross_entropy(sites: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(sites, (target - 1).clamp_min(0), reduction="none")


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean over some entries; 0, with a gradient of 0, where there are none."""
    return (values * where).sum() / where.sum().clamp_min(1)
