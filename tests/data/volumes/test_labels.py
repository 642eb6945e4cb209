import nibabel as nib
import numpy as np
import pytest
from tiny_volumes import affine, blob, save

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import VolumeRef
from studykit.data.volumes.labels import distinct, label_values, read_labels
from studykit.data.volumes.volumes import read_volume

READERS = (read_labels, label_values)


@pytest.fixture
def image(tmp_path):
    return read_volume(VolumeRef(save(tmp_path / "image.nii")))


def labelled(dtype, *values):
    """A label map on the grid of ``blob()``: 0 around, 1 inside, and some values in single voxels."""
    labels = (blob() > 110).astype(dtype)
    labels[3 : 3 + len(values), 3, 3] = values
    return labels


def write(path, labels, matrix=None):
    nib.save(nib.Nifti1Image(labels, affine() if matrix is None else matrix, dtype=labels.dtype), path)
    return VolumeRef(path)


@pytest.mark.parametrize("turn", [[[0, 1], [1, 1], [2, 1]], [[2, -1], [0, 1], [1, -1]]])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64", "float32", "float64"])
def test_labels_in_any_order_and_type_fit_the_image(tmp_path, image, dtype, turn):
    labels, turn = labelled(dtype, 7, 3), np.array(turn)
    matrix = affine() @ nib.orientations.inv_ornt_aff(turn, labels.shape)
    ref = write(tmp_path / "y.nii", nib.orientations.apply_orientation(labels, turn), matrix)
    found = read_labels(ref, image)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.int32
    assert label_values(ref, image).tolist() == [0, 1, 3, 7]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((14, 12, 9), affine()),
        ((14, 12, 10), affine((1.0, 1.0, 1.2))),
        ((14, 12, 10), affine(origin=(0, 0, 0))),
    ],
)
def test_labels_on_another_grid_are_refused(tmp_path, image, read, shape, matrix):
    path = save(tmp_path / "y.nii", np.zeros(shape, np.uint8), matrix)
    with pytest.raises(BadVolume, match="another grid") as error:
        read(VolumeRef(path), image)
    assert error.value.path == str(path)


def test_labels_that_only_share_the_space_are_resampled(tmp_path, image):
    labels = np.zeros((14, 12, 10), np.int16)
    labels[4:9, 3:8, 2:7] = 1035
    inner = VolumeRef(save(tmp_path / "y.nii", labels[3:12, 2:10, 1:9], affine(origin=(-2, -2, 4))))
    np.testing.assert_array_equal(read_labels(inner, image, fit="affine"), labels)
    assert label_values(inner, image, fit="affine").tolist() == [0, 1035]
    with pytest.raises(BadVolume, match="another grid"):
        read_labels(inner, image)


def test_an_unknown_fit_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="unknown fit 'near'; known: grid, affine"):
        read_labels(write(tmp_path / "y.nii", labelled("uint8")), image, fit="near")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", [0.5, 1.01, np.nan, np.inf])
def test_labels_must_be_whole_numbers(tmp_path, image, read, value):
    with pytest.raises(BadVolume, match="not whole numbers"):
        read(write(tmp_path / "y.nii", labelled("float32", value)), image)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**33 + 5, "int64"), (2**64 - 1, "uint64"), (2**32 - 6, "uint32"), (-(2**40), "int64"),
        (2.0**31, "float64"), (3e9, "float32"),
    ],
)  # fmt: skip
def test_labels_beyond_32_bits_are_refused_and_not_wrapped(tmp_path, image, read, value, dtype):
    with pytest.raises(BadVolume, match="do not fit 32 bits"):
        read(write(tmp_path / "l.nii", labelled(dtype, value)), image)


@pytest.mark.parametrize("off", [1e-6, -1e-6, 2e-5])
@pytest.mark.parametrize("degrees", [45, 135, -45, 30])
def test_two_grids_that_agree_to_rounding_are_one(tmp_path, degrees, off):
    def turned(angle):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    image = read_volume(VolumeRef(save(tmp_path / "i.nii", blob(), turned(degrees + off))))
    ref = write(tmp_path / "l.nii", labelled("int16"), turned(degrees - off))
    assert np.array_equal(read_labels(ref, image), image.array > 110)
    assert label_values(ref, image).tolist() == [0, 1]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_distinct_values_are_those_that_a_sort_of_all_gives(order, dtype):
    array = np.asarray(np.random.default_rng(0).integers(-9, 9, (5, 6, 7)), dtype=dtype, order=order)
    np.testing.assert_array_equal(distinct(array[::-1, :, ::2]), np.unique(array[::-1, :, ::2]))
