"""Tokens of the two labelled sample heads, and a probe that learns on one head and is tested on the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from studykit.data.sources import DEFAULT_SOURCE, open_source
from studykit.data.volumes.cache import PreparedVolume, prepare
from studykit.data.volumes.tensors import label_tensor, volume_tensor
from studykit.data.volumes.volumes import VolumeSettings
from studykit.layers.patches import patchify, tile
from studykit.probes.linear import ProbeScore, linear_probe
from studykit.probes.tissues import LABELLED_HEADS, LEFT_OUT, majority_class, tissue_classes


@dataclass(frozen=True)
class LabelledHead:
    """A head cut into crops that do not overlap, with the tissue of each token.

    Attributes:
        subject: subject id.
        crops: (N, 1, D, H, W), those with labelled tissue in them.
        tissues: int64 (N, T), index into :data:`studykit.probes.tissues.TISSUES`; -1 where no tissue has more
            than half of the patch, or most of it is air.
    """

    subject: str
    crops: Tensor
    tissues: Tensor


def labelled_volumes(spacing_mm: float) -> tuple[PreparedVolume, ...]:
    """The labelled heads among the sample volumes, whole."""
    settings = VolumeSettings(spacing_mm=spacing_mm)
    return prepare(open_source(DEFAULT_SOURCE), settings, subjects=tuple(LABELLED_HEADS)).volumes


def tissue_map(volume: PreparedVolume, scheme: str) -> Tensor:
    """Tissue of each voxel, int64 (D, H, W); -1 where none is asked for, and in the air around the head.

    Raises:
        ValueError: the volume has no labels, or its labels follow another scheme.
    """
    classes = tissue_classes(label_tensor(volume), scheme)
    head = torch.from_numpy(np.array(volume.foreground.T))
    classes[(classes == 0) & ~head] = LEFT_OUT
    return classes


def labelled_heads(spacing_mm: float, crop_size: int, patch_size: int) -> tuple[LabelledHead, ...]:
    """The labelled heads among the sample volumes, at a study's spacing, crop and patch size."""
    return tuple(
        labelled_head(volume, LABELLED_HEADS[volume.subject], crop_size, patch_size)
        for volume in labelled_volumes(spacing_mm)
    )


def labelled_head(volume: PreparedVolume, scheme: str, crop_size: int, patch_size: int) -> LabelledHead:
    """Cut one volume with labels of ``scheme`` into crops; the last ones are filled up with background.

    Raises:
        ValueError: the volume has no labels, or its labels follow another scheme.
    """
    image = volume_tensor(volume)
    crops = tile(image, crop_size, float(image.min()))
    patches = patchify(tile(tissue_map(volume, scheme)[None], crop_size, LEFT_OUT), patch_size)
    tissues = majority_class(patches.flatten(2))
    labelled = (tissues > 0).any(dim=1)
    return LabelledHead(volume.subject, crops[labelled], tissues[labelled])


def probe_both_ways(
    heads: Sequence[LabelledHead], features: Callable[[Tensor], Tensor]
) -> dict[str, ProbeScore]:
    """Train a probe on the tokens of one head, test it on those of the other, and the other way round.

    Args:
        heads: two heads.
        features: crops (N, 1, D, H, W) to tokens (N, T, width).

    Returns:
        by the subject that was tested.

    Raises:
        ValueError: not two heads, or see :func:`studykit.probes.linear.linear_probe`.
    """
    if len(heads) != 2:
        raise ValueError(f"a probe both ways needs two heads, got {[head.subject for head in heads]}")
    sides = [(features(head.crops).flatten(0, 1).numpy(), head.tissues.flatten().numpy()) for head in heads]
    return {
        heads[1].subject: linear_probe(*sides[0], *sides[1]),
        heads[0].subject: linear_probe(*sides[1], *sides[0]),
    }
