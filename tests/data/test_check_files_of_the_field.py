"""Kinds of files that users of nibabel, SimpleITK, pydicom, MONAI, TorchIO and nnU-Net have met."""

import gzip
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless
from tiny_dicom import HU, voxels, write_file, write_frames, write_slices
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


def _alter(folder, **tags):
    for path in folder.glob("*.dcm"):
        data = dcmread(path)
        for name, value in tags.items():
            setattr(data, name, value)
        data.save_as(path)


def test_numbers_that_are_shown_the_other_way_round_are_as_stored(tmp_path):
    """ITK turns the stored numbers of MONOCHROME1 round within 16 bits: -1024 HU became 64,511."""
    _alter(write_slices(tmp_path / "slices"), PhotometricInterpretation="MONOCHROME1")
    write_frames(tmp_path / "frames" / "a.dcm", voxels(), [5.0 * n for n in range(8)])
    _alter(tmp_path / "frames", PhotometricInterpretation="MONOCHROME1")
    for name in ("slices", "frames"):
        (subject,) = read_folder(tmp_path / name)
        array = read_volume(subject.image).array
        assert array.min() == -1024 and (array == HU).sum() == 1


def test_bits_above_those_stored_are_no_part_of_a_number(tmp_path):
    write_slices(tmp_path, voxels() | np.uint16(0x4000))
    _alter(tmp_path, BitsStored=12, HighBit=11)
    assert read_volume(read_folder(tmp_path)[0].image).array.max() == HU


def test_a_ct_whose_units_are_open_is_refused(tmp_path):
    write_slices(tmp_path / "none", RescaleSlope=None, RescaleIntercept=None)
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [4096, 0, 16], "HU", bytes(8192)
    _alter(write_slices(tmp_path / "table"), ModalityLUTSequence=[table])
    for name, said in (("none", "states no RescaleIntercept"), ("table", "ModalityLUTSequence")):
        (row,) = check_source(f"folder:{tmp_path / name}", cache=tmp_path / "cache")
        assert re.search(rf"00\d\.dcm .*{said}", row.reason)


def test_hu_that_lost_their_sign_are_refused(tmp_path, collect):
    stored = (10 * blob() - 1024).astype(np.int16)
    save(tmp_path / "in" / "a_ct.nii", stored.view(np.uint16))
    save(tmp_path / "in" / "b_ct.nii", stored)
    save(tmp_path / "in" / "c_mr.nii", stored.view(np.uint16))
    rows = check_source(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    assert ["lost their sign" in row.reason for row in rows] == [True, False, False]
    lost = Subject("a", VolumeRef(tmp_path / "in" / "a_ct.nii"), modality="CT")
    with pytest.raises(ValueError, match="lost their sign"):
        prepare(collect(lost), VolumeSettings(2.0))


def test_two_matrices_that_disagree_are_said(tmp_path):
    turned = np.diag([-1, 1, 1, 1]) @ affine()
    others = {
        "same": affine(),
        "template": affine((1.1, 1.1, 1.1)),
        "size": affine((1, 1, 3)),
        "side": turned,
    }
    for name, qform in others.items():
        image = nib.Nifti1Image(blob(seed=len(name)), affine())
        image.set_sform(affine(), 1)
        image.set_qform(qform, 1)
        nib.save(image, tmp_path / f"{name}.nii")
    rows = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert {row.subject: "disagree" in row.note for row in rows} == {
        "same": False, "template": False, "size": True, "side": True
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    "p1_lbl p1_roi p1_groundtruth seg_p1 ../segs/p1 ../gt/p1 ../annotations/p1 ../ground_truth/p1 ../lbl/p1"
    " ../Truth/p1".split(),
)
def test_a_label_map_under_any_usual_name_is_no_image(tmp_path, name):
    save(tmp_path / "images" / "p1.nii.gz")
    save(tmp_path / "images" / f"{name}.nii.gz", (blob() > 110).astype(np.int16))
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert (row.subject, row.labels) == ("p1", "1")


def test_nan_around_the_head_is_refused_with_its_number(tmp_path):
    array = blob()
    array[array == 0] = np.nan
    save(tmp_path / "a.nii", array)
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert row.reason == f"has {int(np.isnan(array).sum())} NaN or infinite voxels of {array.size}"


def test_a_class_a_channel_is_no_label_map(tmp_path):
    save(tmp_path / "a.nii")
    save(tmp_path / "a_seg.nii", np.repeat((blob() > 110).astype(np.uint8)[..., None], 3, axis=3))
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert row.path.endswith("a_seg.nii") and "is not 3-D" in row.reason


@pytest.mark.parametrize("components", [1, 2])
def test_a_list_of_components_in_front_is_no_axis(tmp_path, components):
    header = (
        "NRRD0004\ntype: float\ndimension: 4\nspace: right-anterior-superior\n"
        f"sizes: {components} 14 12 10\nspace directions: none (1,0,0) (0,1,0) (0,0,2)\n"
        "kinds: list domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    data = np.repeat(blob()[None], components, axis=0).tobytes("F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + data)
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    if components == 1:
        assert row.ok and row.spacing_mm == (1, 1, 2)
        np.testing.assert_array_equal(read_volume(VolumeRef(tmp_path / "a.nrrd")).array, blob())
    else:
        assert "2 components a voxel" in row.reason


def test_what_macos_leaves_beside_a_file_is_no_image(tmp_path):
    save(tmp_path / "a.nii.gz")
    (tmp_path / "._a.nii.gz").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    rows = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert [row.subject for row in rows] == ["a"]
