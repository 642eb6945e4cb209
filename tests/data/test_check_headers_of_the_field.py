"""Headers that readers repair in silence, and files that are not what they seem: right, or named."""

import re

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from tiny_dicom import HU, voxels, write_file, write_frames, write_slices
from tiny_volumes import affine, blob, itk_image, save

from studykit.data.check import check_report, check_source
from studykit.data.files.folder import survey
from studykit.data.files.refs import VolumeRef
from studykit.data.splits import Split, split_subjects
from studykit.data.volumes.volumes import VolumeSettings, read_volume

HEIGHTS = [5.0 * n for n in range(8)]
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n{}DimSize = 14 12 10\n"
    "ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
)


def check(tmp_path, root="in"):
    return check_source(f"folder:{tmp_path / root}", cache=tmp_path / "cache")


def write_meta(path, text, short=0):
    path.parent.mkdir(exist_ok=True)
    data = blob().tobytes("F")
    path.write_bytes(META.format(text).encode() + data[: len(data) - short])
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("elementspacing = 0.5 0.5 3\n", "'elementspacing', which ITK passes over"),
        ("ElementSpacing = 1 1 2\noffset = 1 2 3\n", "'offset', which ITK passes over"),
        ("Offset = nan 7 7\nElementSpacing = 1 1 2\n", "offset 'nan 7 7', which are no numbers"),
        ("ElementSpacing = 1 1 2\nTransformMatrix = 1 0 0 0 x 0 0 0 1\n", "transformmatrix .*no numbers"),
    ],
)
def test_what_itk_would_pass_over_is_refused(tmp_path, text, said):
    write_meta(tmp_path / "in" / "a.mha", text)
    (row,) = check(tmp_path)
    assert re.search(said, row.reason)


def test_a_remark_in_lower_case_is_none_of_its_keys(tmp_path):
    write_meta(tmp_path / "in" / "a.mha", "comment = offset\nElementSpacing = 0.5 0.5 3\nOffset = 1 2 3\n")
    (row,) = check(tmp_path)
    assert row.ok and row.spacing_mm == (0.5, 0.5, 3)


@pytest.mark.parametrize(("unit", "factor"), [("millimeters", 1), ("micrometers", 1e-3), ("centimetres", 10)])
def test_a_unit_in_the_plural_is_known(tmp_path, unit, factor):
    size = 2 / factor
    write_meta(tmp_path / "in" / "a.mha", f"ElementSpacing = {size} {size} {size}\nDistanceUnits = {unit}\n")
    (row,) = check(tmp_path)
    assert row.spacing_mm == pytest.approx((2, 2, 2))


def test_a_file_that_ends_too_early_is_said_to(tmp_path):
    write_meta(tmp_path / "in" / "a.mha", "ElementSpacing = 1 1 2\n", short=400)
    (row,) = check(tmp_path)
    assert not row.ok and "Success" not in row.reason and "ends before its voxels do" in row.reason


def test_voxels_that_would_begin_inside_the_header_are_refused(tmp_path):
    path = save(tmp_path / "in" / "a.nii")
    data = bytearray(path.read_bytes())
    data[108:112] = bytes(4)
    path.write_bytes(data)
    (row,) = check(tmp_path)
    assert "voxels begin at byte 0, inside of it" in row.reason


@pytest.mark.parametrize(
    ("slope", "said"), [("0", "RescaleSlope 0"), ("", "no RescaleSlope"), (None, "no Resc")]
)
def test_a_ct_without_a_slope_is_refused(tmp_path, slope, said):
    write_slices(tmp_path / "in", RescaleSlope=slope)
    (row,) = check(tmp_path)
    assert said in row.reason and ".dcm" in row.reason


def test_another_modality_needs_no_slope(tmp_path):
    write_slices(tmp_path / "in", Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    (row,) = check(tmp_path)
    assert row.ok and row.intensity == (0, HU + 1024)


def test_a_slice_without_a_preamble_is_found_under_any_suffix(tmp_path):
    write_slices(tmp_path / "in" / "P1", mark=False)
    for path in list((tmp_path / "in" / "P1").iterdir()):
        path.rename(path.with_name(f"E1S1I{path.stem}.MR"))
    (tmp_path / "in" / "notes.rtf").write_bytes(b"\x08\x00\x05\x00 no image")
    report = check_report(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    assert [(row.subject, row.ok) for row in report.rows] == [("P1", True)]
    assert dict(report.others) == {".rtf": 1}


@pytest.mark.parametrize("groups", [True, False])
def test_fewer_frames_than_there_are_pixels_for_are_refused(tmp_path, groups):
    path = write_frames(tmp_path / "in" / "e.dcm", voxels(), HEIGHTS)
    data = dcmread(path)
    data.NumberOfFrames = 4
    if not groups:
        data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[:4]
    data.save_as(path)
    (row,) = check(tmp_path)
    assert f"states 4 frames and {'describes' if groups else 'has the pixels of'} 8" in row.reason


def test_enhanced_files_of_one_frame_each_are_one_volume(tmp_path):
    scales = [(1.0 + n % 2, -1024.0) for n in range(8)]
    for n in range(8):
        path = write_frames(tmp_path / "in" / f"{n}.dcm", voxels()[n : n + 1], HEIGHTS[n : n + 1], scales[n:])
        data = dcmread(path)
        data.SOPInstanceUID = f"1.2.7.{n}"
        data.save_as(path)
    (subject,) = survey(tmp_path / "in").subjects
    volume = read_volume(subject.image)
    assert volume.spacing_mm == (3, 2, 5)
    stored = voxels().astype(float) * np.array([scale for scale, _ in scales])[:, None, None] - 1024
    # Rows run to the left and columns to the back: both are turned round in RAS.
    np.testing.assert_array_equal(volume.array, stored.transpose(2, 1, 0)[::-1, ::-1])


def test_one_dicom_file_is_a_source(tmp_path):
    path = write_frames(tmp_path / "in" / "e.dcm", voxels(), HEIGHTS)
    one, folder = check(tmp_path, "in/e.dcm"), check(tmp_path)
    assert [(r.subject, r.modality, r.shape, r.spacing_mm) for r in one] == [
        ("P1", "CT", (12, 14, 8), (3, 2, 5))
    ]
    assert [r.intensity for r in one] == [r.intensity for r in folder] and path.is_file()


@pytest.mark.parametrize(
    ("uid", "what"),
    [("66.4", "a segmentation"), ("481.2", "a radiotherapy dose"), ("30", "a parametric map")],
)
def test_what_is_no_image_is_told_by_its_class_too(tmp_path, uid, what):
    write_slices(tmp_path / "in")
    write_file(
        tmp_path / "in" / "s.dcm", voxels(), SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{uid}", Modality="OT"
    )
    found = survey(tmp_path / "in")
    assert [entry.reason for entry in found.unused] == [f"is {what}, no image"] and len(found.subjects) == 1


def test_a_broken_link_to_a_folder_is_named(tmp_path):
    save(tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii")
    for name in ("sub-02", "notes.json"):
        (tmp_path / name).symlink_to("/mnt/none")
    found = survey(tmp_path)
    assert [(e.path.name, e.reason) for e in found.unused] == [("sub-02", "is a broken link")]


def test_label_maps_whose_images_are_a_broken_link_are_not_blamed(tmp_path):
    (tmp_path / "imagesTr").symlink_to("/mnt/none")
    save(tmp_path / "labelsTr" / "c_1.nii", (blob() > 110).astype(np.uint8))
    with pytest.raises(FileNotFoundError, match="imagesTr is a broken link"):
        survey(tmp_path)


@pytest.mark.parametrize("name", ["a.img.gz", "a.hdr.gz", "a.niigz", "a.mnc2"])
def test_packed_formats_that_are_not_read_are_said(tmp_path, name):
    save(tmp_path / "b.nii")
    (tmp_path / name).write_bytes(b"x")
    (entry,) = survey(tmp_path).unused
    assert entry.path.name == name and "format that is not read" in entry.reason


def test_a_data_file_may_be_a_link(tmp_path):
    store = tmp_path / ".git" / "annex"
    store.mkdir(parents=True)
    (tmp_path / "in").mkdir()
    sitk.WriteImage(itk_image(blob(), affine()), str(tmp_path / "in" / "a.mhd"))
    (tmp_path / "in" / "a.raw").rename(store / "key")
    (tmp_path / "in" / "a.raw").symlink_to("../.git/annex/key")
    np.testing.assert_array_equal(read_volume(VolumeRef(tmp_path / "in" / "a.mhd")).array, blob())
    (store / "key").unlink()
    (row,) = check(tmp_path)
    assert row.reason == "its data file 'a.raw' is a broken link"


@pytest.mark.parametrize("start", ["/annex/objects/MD5-s1", "../../.git/annex/objects/x/MD5-s1"])
def test_a_pointer_of_git_annex_is_named(tmp_path, start):
    (tmp_path / "a.nii").write_text(start)
    with pytest.raises(ValueError, match="is a pointer of git-annex"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(
    "wrong",
    [
        {"hu_window": 5}, {"percentiles": None}, {"percentiles": (-5, 120)}, {"spacing_mm": True},
        {"margin_mm": "4"}, {"crop": "no"}, {"hu_window": (0, float("nan"))},
    ],
)  # fmt: skip
def test_settings_of_another_type_say_what_was_expected(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"{name} must .*got "):
        VolumeSettings(**wrong)


@pytest.mark.parametrize(
    ("ids", "given", "name"),
    [
        ("abcd", {}, "ids"), (None, {}, "ids"), (["a", "b"], {"seed": "0"}, "seed"),
        (["a", "b"], {"val": True}, "val"), (["a", "b"], {"hold_out": 5}, "hold_out"),
        (["a", "b"], {"hold_out": "a"}, "hold_out"),
    ],
)  # fmt: skip
def test_a_split_of_another_type_says_what_was_expected(ids, given, name):
    with pytest.raises(ValueError, match=rf"{name} must be .*got "):
        split_subjects(ids, **({"seed": 0, "val": 1} | given))


@pytest.mark.parametrize("train", ['"abc"', "null", '{"a": 1}'])
def test_a_split_of_a_file_has_lists(tmp_path, train):
    (tmp_path / "s.json").write_text(f'{{"train": {train}, "val": [], "test": []}}')
    with pytest.raises(ValueError, match="'train' must be a list of subject ids"):
        Split.load(tmp_path / "s.json")


def test_a_path_may_be_a_text(tmp_path):
    path = str(save(tmp_path / "a.nii"))
    for given in (path, VolumeRef(path)):
        np.testing.assert_array_equal(read_volume(given).array, blob())
    assert [subject.id for subject in survey(str(tmp_path)).subjects] == ["a"]
    with pytest.raises(ValueError, match="cache is the path of a folder"):
        check_source(f"folder:{tmp_path}", cache=5)
