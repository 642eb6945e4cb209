"""Volumes whose aneurysms are known, from any source of them: the cohort's, or the challenge's own series."""

from pathlib import Path

from torch import Tensor

from studykit.data.angiography.cohort import ANEURYSM
from studykit.data.angiography.subjects import AngiographyRow, Row
from studykit.data.crops.detection_crops import detection_volume
from studykit.data.crops.whole_volumes import whole_labels, whole_volume
from studykit.data.sources import kind_of
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.home import data_dir


def has_aneurysms(source: str) -> bool:
    """Whether the aneurysms of a source are known by their place: of ``rsna:PATH``, ``angio:SCANNER:N``, ….

    Raises:
        ValueError: no such source.
    """
    return kind_of(source).with_aneurysms


def open_aneurysms(
    source: str, spacing_mm: float, *, cache: str | Path | None = None
) -> tuple[Prepared, tuple[Row, ...]]:
    """Volumes of a source at a spacing, and what is known of each.

    Raises:
        ValueError: no such source, or one that says nothing of aneurysms.
        FileNotFoundError: of ``rsna:PATH``, see :func:`studykit.data.angiography.rsna.open_rsna_aneurysm`.
    """
    return kind_of(source).aneurysms(source, spacing_mm, data_dir() if cache is None else Path(cache))


def image_and_sites(volume: PreparedVolume, row: Row, crop_size: int) -> Tensor:
    """Whole field of view and the site's number in each aneurysm voxel: float32 (2, D, H, W).

    A cohort's field of view is as it was made; of a series the middle ``crop_size`` voxels are taken, and its
    points lie in the label map by their sites.

    Raises:
        ValueError: see :func:`studykit.data.crops.detection_crops.detection_volume`.
    """
    import torch

    if isinstance(row, AngiographyRow):
        return detection_volume(volume, ANEURYSM, row.site_number)
    return torch.cat([whole_volume(volume, crop_size), whole_labels(volume, crop_size).float()[None]])
