"""Kinds of files that users of nibabel, SimpleITK, pydicom, MONAI, TorchIO and nnU-Net have met."""

import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless
from tiny_dicom import HU, write_file, write_slices
from tiny_volumes import affine, blob, save

from studykit.data.check import check_source
from studykit.data.files.folder import read_folder, survey
from studykit.data.files.refs import Subject, VolumeRef
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import VolumeSettings, read_volume


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("packed", [True, False])
def test_gzip_is_told_by_the_bytes_and_not_by_the_name(tmp_path, name, packed):
    plain = save(tmp_path / "plain.nii").read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(plain) if packed else plain)
    np.testing.assert_array_equal(read_volume(VolumeRef(path)).array, blob())


def test_big_endian_numbers_and_empty_further_axes(tmp_path):
    image = nib.Nifti1Image(blob()[..., None, None], affine(), nib.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(">f4")
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(VolumeRef(tmp_path / "a.nii")).array, blob())


def test_labels_that_a_slope_left_a_little_off_are_whole(tmp_path):
    image = read_volume(VolumeRef(save(tmp_path / "i.nii")))
    labels = (blob() > 110) * 3.0
    save(tmp_path / "near.nii", (labels * (1 - 1e-6)).astype(np.float32))
    assert np.unique(read_labels(VolumeRef(tmp_path / "near.nii"), image)).tolist() == [0, 3]
    save(tmp_path / "half.nii", (labels * 0.9).astype(np.float32))
    with pytest.raises(ValueError, match="not whole numbers"):
        read_labels(VolumeRef(tmp_path / "half.nii"), image)


def test_a_compressed_series_has_the_same_voxels(tmp_path):
    write_slices(tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", tmp_path / "rle")
    for path in (tmp_path / "rle").iterdir():
        data = dcmread(path)
        data.compress(RLELossless, encoding_plugin="pydicom")
        data.save_as(path)
    plain, packed = (
        read_volume(VolumeRef(tmp_path / name, tuple(f"{n:03d}.dcm" for n in range(8))))
        for name in ("plain", "rle")
    )
    np.testing.assert_array_equal(plain.array, packed.array)
    assert (packed.array == HU).sum() == 1


def test_copies_of_slices_are_used_once_and_said(tmp_path):
    write_slices(tmp_path, own={n: {"InstanceNumber": n, "SOPInstanceUID": f"1.2.{n}"} for n in range(8)})
    shutil.copy(tmp_path / "003.dcm", tmp_path / "003 (1).dcm")
    found = survey(tmp_path)
    assert [len(subject.image.parts) for subject in found.subjects] == [8]
    assert [entry.reason for entry in found.unused] == ["is a copy of 003 (1).dcm"]


def test_slices_that_share_one_uid_by_mistake_are_all_used(tmp_path):
    write_slices(tmp_path, SOPInstanceUID="1.2.3", own={n: {"InstanceNumber": n} for n in range(8)})
    (subject,) = read_folder(tmp_path)
    assert read_volume(subject.image).array.shape[2] == 8


def test_a_localizer_in_a_series_is_apart_from_its_slices(tmp_path):
    write_slices(tmp_path)
    scout = {
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    }
    write_file(tmp_path / "scout.dcm", np.zeros((20, 20)), **scout)
    rows = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert sorted((row.ok, row.note) for row in rows) == [(False, "localizer"), (True, "")]


def test_a_dicomdir_is_no_image(tmp_path):
    write_slices(tmp_path)
    write_file(tmp_path / "DICOMDIR", np.zeros((4, 4)), SOPClassUID="1.2.840.10008.1.3.10", Modality="")
    data = dcmread(tmp_path / "DICOMDIR")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(data, name)
    data.save_as(tmp_path / "DICOMDIR")
    assert len(read_folder(tmp_path)) == 1 and len(survey(tmp_path).unused) == 1


@pytest.mark.parametrize("name", ["a.img", "a.nii.bz2", "a.mnc", "a.npy", "a.PAR", "a.tar.gz"])
def test_formats_that_are_not_read_are_said(tmp_path, name):
    save(tmp_path / "b.nii")
    (tmp_path / name).write_bytes(b"x")
    (entry,) = survey(tmp_path).unused
    assert entry.path.name == name and "format that is not read" in entry.reason


def test_a_name_cannot_write_into_the_terminal(tmp_path):
    save(tmp_path / "two\nlines\x1b[2J.nii")
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert row.subject == "two\\nlines\\x1b[2J" and row.path.isprintable()


def test_one_volume_in_two_formats_is_one_subject(tmp_path):
    for name in ("a.nii", "a.nii.gz", "A.mgz"):
        save(tmp_path / name)
    assert {subject.id.lower() for subject in read_folder(tmp_path)} == {"a"}
    assert len({subject.id for subject in read_folder(tmp_path)}) == 1


def test_one_image_under_two_names_is_said(tmp_path, collect):
    for name in ("anna", "ben"):
        save(tmp_path / "in" / f"{name}.nii")
    save(tmp_path / "in" / "carl.nii", blob(seed=5))
    rows = check_source(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    assert [bool(row.note) for row in rows] == [False, True, False] and "has the same voxels as" in rows[
        1
    ].note
    subjects = [Subject(name, VolumeRef(tmp_path / "in" / f"{name}.nii")) for name in ("anna", "ben", "carl")]
    with pytest.warns(UserWarning, match="the same image is of several subjects: anna and ben"):
        prepare(collect(*subjects), VolumeSettings(2.0))
