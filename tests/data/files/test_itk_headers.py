"""Voxel sizes as MetaImage, NRRD and NIfTI headers state them: with their unit, or refused."""

import struct

import nibabel as nib
import numpy as np
import pytest
from tiny_volumes import affine, blob, save

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import VolumeRef
from studykit.data.volumes.volumes import read_volume

META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 14 12 10\nElementType = MET_FLOAT\n{}ElementDataFile = x.raw\n"
)
NRRD = (
    "NRRD0005\ntype: float\ndimension: 3\nsizes: 14 12 10\nendian: little\nencoding: raw\n{}"
    "data file: x.raw\n\n"
)
DIRECTIONS = "space: {}\nspace directions: ({},0,0) (0,{},0) (0,0,{})\nspace origin: (0,0,0)\n"


def header(tmp_path, name, text):
    (tmp_path / "x.raw").write_bytes(blob().T.astype("<f4").tobytes())
    path = tmp_path / name
    path.write_text((META if name.endswith("mhd") else NRRD).format(text), encoding="utf-8")
    return VolumeRef(path)


@pytest.mark.parametrize(
    ("name", "text", "sizes"),
    [
        ("x.mhd", "ElementSpacing = 1 2 3\n", (1, 2, 3)),
        ("x.mhd", "ElementSize = 1 2 3\n", (1, 2, 3)),
        ("x.mhd", "ElementSpacing = 1000 2000 3000\nDistanceUnits = um\n", (1, 2, 3)),
        ("x.nhdr", "spacings: 1 2 3\n", (1, 2, 3)),
        ("x.nhdr", 'spacings: 0.1 0.2 0.3\nunits: "cm" "cm" "cm"\n', (1, 2, 3)),
        ("x.nhdr", DIRECTIONS.format("left-posterior-superior", 1, 2, 3), (1, 2, 3)),
        (
            "x.nhdr",
            DIRECTIONS.format("right-anterior-superior", 1000, 2000, 3000)
            + 'space units: "um" "µm" "microns"\n',
            (1, 2, 3),
        ),
    ],
)
def test_a_stated_size_is_taken_in_its_unit(tmp_path, name, text, sizes):
    volume = read_volume(header(tmp_path, name, text))
    assert volume.spacing_mm == pytest.approx(sizes)


@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS", "left-anterior-superior"])
def test_the_axes_of_a_space_are_kept(tmp_path, space):
    volume = read_volume(header(tmp_path, "x.nhdr", DIRECTIONS.format(space, 1, 2, 3)))
    flips = {"left-posterior-superior": (0, 1), "RAS": (), "left-anterior-superior": (0,)}[space]
    assert np.array_equal(volume.array, np.flip(blob(), flips))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.mhd", "", "states no voxel size along three axes, but none"),
        ("x.mhd", "ElementSpacing = 0 2 3\n", "but (0, 2, 3)"),
        ("x.mhd", "ElementSpacing = nan 2 3\n", "but (nan, 2, 3)"),
        ("x.mhd", "ElementSpacing = 1 2\n", "but (1, 2)"),
        ("x.mhd", "ElementSpacing = 1 2 3\nDistanceUnits = parsec\n", "has the unit parsec; known: mm"),
        ("x.nhdr", "", "states no voxel size"),
        ("x.nhdr", "spacings: 2 3 NaN\n", "but (2, 3, nan)"),
        ("x.nhdr", 'spacings: 1 2 3\nunits: "mm" "mm" "s"\n', "has the unit mm, mm, s"),
        ("x.nhdr", DIRECTIONS.format("scanner-xyz", 1, 2, 3), "'scanner-xyz' does not say which way"),
        ("x.nhdr", DIRECTIONS.format("left-posterior-superior", 0, 2, 3), "but (0, 2, 3)"),
    ],
)
def test_a_size_that_is_not_stated_is_refused(tmp_path, name, text, said):
    with pytest.raises(BadVolume) as caught:
        read_volume(header(tmp_path, name, text))
    assert said in caught.value.reason and not caught.value.reason.startswith("cannot be read")


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("unknown", 1.0), ("micron", 1e-3), ("meter", 1e3)]
)
def test_the_unit_of_a_nifti_header_counts(tmp_path, unit, factor):
    image = nib.Nifti1Image(blob(), affine((1 / factor, 2 / factor, 3 / factor), origin=(4 / factor, 0, 0)))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "x.nii.gz")
    volume = read_volume(VolumeRef(tmp_path / "x.nii.gz"))
    assert volume.spacing_mm == pytest.approx((1, 2, 3)) and volume.affine[0, 3] == pytest.approx(4)


@pytest.mark.parametrize("size", [0.0, float("nan")])
def test_a_nifti_without_a_voxel_size_is_refused(tmp_path, size):
    image = nib.Nifti1Image(blob(), None)
    image.set_qform(affine((2, 2, 2)), 1)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "x.nii")
    data = bytearray((tmp_path / "x.nii").read_bytes())
    data[80:84] = struct.pack("<f", size)
    (tmp_path / "x.nii").write_bytes(data)
    with pytest.raises(BadVolume, match="states no voxel size along three axes"):
        read_volume(VolumeRef(tmp_path / "x.nii"))


def test_where_the_sform_tells_the_size_the_other_field_does_not_matter(tmp_path):
    save(tmp_path / "x.nii", blob(), affine((2, 3, 4)))
    data = bytearray((tmp_path / "x.nii").read_bytes())
    data[80:92] = bytes(12)
    (tmp_path / "x.nii").write_bytes(data)
    assert read_volume(VolumeRef(tmp_path / "x.nii")).spacing_mm == pytest.approx((2, 3, 4))
