import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from tiny_volumes import affine, blob, itk_image, save, save_series

from studykit.data.files import formats
from studykit.data.files.dicom_series import sort_dicom
from studykit.data.files.errors import BadVolume
from studykit.data.files.formats import decode, doubts
from studykit.data.files.refs import RawGrid, VolumeRef
from studykit.data.volumes.volumes import read_volume

SIZE = (1.0, 1.5, 2.0)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".mgh", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_every_format_gives_the_same_voxels_on_the_same_grid(tmp_path, suffix):
    array, matrix = blob(), affine(SIZE)
    path = tmp_path / f"volume{suffix}"
    if suffix.startswith((".nii", ".mg")):
        save(path, array, matrix)
    else:
        sitk.WriteImage(itk_image(array, matrix), str(path))
    volume = read_volume(VolumeRef(path))
    np.testing.assert_allclose(volume.array, array, atol=1e-5)
    np.testing.assert_allclose(volume.affine, matrix, atol=1e-5)
    assert volume.spacing_mm == pytest.approx(SIZE)


def test_dicom_series_is_ordered_by_position(tmp_path):
    array = np.rint(blob())
    folder = save_series(tmp_path / "series", array, (1.0, 1.0, 2.0))
    (series,) = sort_dicom(sorted(folder.iterdir())).series
    assert (len(series.names), series.patient, series.modality) == (10, "P1", "MR")
    volume = read_volume(VolumeRef(folder, tuple(reversed(series.names))))
    # DICOM's x and y run to the left and to posterior: the canonical array has both turned round
    np.testing.assert_array_equal(volume.array, array[::-1, ::-1])
    assert volume.spacing_mm == pytest.approx((1, 1, 2))
    np.testing.assert_allclose(volume.affine[:3, 3], [5 - 13, 4 - 11, 3])


def test_series_with_a_missing_slice_is_refused(tmp_path):
    folder = save_series(tmp_path, blob())
    names = sorted(path.name for path in folder.iterdir())
    with pytest.raises(BadVolume, match="slices are missing"):
        decode(VolumeRef(folder, tuple(names[:4] + names[5:])))


def test_nifti2_and_integers_with_a_slope(tmp_path):
    image = nib.Nifti2Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine())
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "x.nii.gz")
    volume = read_volume(VolumeRef(tmp_path / "x.nii.gz"))
    np.testing.assert_allclose(volume.array, np.arange(60).reshape(3, 4, 5) * 2 - 1024)


def test_raw_buffer(tmp_path):
    stored = np.linspace(0, 1, 24).astype("<f2")
    (tmp_path / "x.pt").write_bytes(b"head" + stored.tobytes() + b"tail")
    grid = RawGrid(4, (2, 3, 4), "<f2", slope=100.0, intercept=-5.0)
    array, _ = decode(VolumeRef(tmp_path / "x.pt", raw=grid))
    np.testing.assert_allclose(array.ravel(), stored.astype(float) * 100 - 5, atol=1e-4)


def test_one_frame_of_a_4d_file(tmp_path):
    array = np.stack([blob(seed=1), blob(seed=2)], axis=-1)
    path = save(tmp_path / "x.nii.gz", array)
    np.testing.assert_array_equal(read_volume(VolumeRef(path, frame=1)).array, array[..., 1])
    with pytest.raises(BadVolume, match="no frame 2"):
        read_volume(VolumeRef(path, frame=2))


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
def test_what_unpacks_to_far_more_than_its_voxels_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(formats, "MOST_BEHIND", 1000)
    path = save(tmp_path / f"x{suffix}", blob())
    whole = path.read_bytes()
    path.write_bytes(whole + gzip.compress(bytes(900)))
    assert read_volume(VolumeRef(path)).array.shape == blob().shape
    path.write_bytes(whole + gzip.compress(bytes(10**6)))
    with pytest.raises(BadVolume, match="behind its voxels"):
        read_volume(VolumeRef(path))


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_no_memory_is_taken_for_what_a_file_cannot_hold(tmp_path, monkeypatch, suffix):
    path = save(tmp_path / f"x{suffix}", blob())
    packed = suffix == ".mgz"
    data = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    data[4:16] = np.array([800, 800, 800], ">i4").tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)
    monkeypatch.setattr("nibabel.arrayproxy.ArrayProxy.__array__", lambda *_: pytest.fail("it was read"))
    with pytest.raises(BadVolume, match=r"it cannot hold the [\d,]+ bytes that its header claims"):
        read_volume(VolumeRef(path))


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
def test_a_packed_file_whose_checksum_is_wrong_is_refused(tmp_path, suffix):
    path = save(tmp_path / f"x{suffix}", blob())
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadVolume, match="truncated or damaged"):
        read_volume(VolumeRef(path))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".mgh", ".mha", ".nrrd"])
def test_truncated_files_are_refused_by_path(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix.startswith((".nii", ".mg")):
        save(path)
    else:
        sitk.WriteImage(itk_image(blob(), affine()), str(path))
    truncated(path)
    with pytest.raises(BadVolume) as error:
        read_volume(VolumeRef(path))
    assert error.value.path == str(path)


@pytest.mark.parametrize(
    "data", [b"", b"not a volume", gzip.compress(b"", mtime=0), gzip.compress(b"x" * 1000, mtime=0)]
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".mgh", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_rubbish_is_refused(tmp_path, suffix, data):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    with pytest.raises(BadVolume, match=path.name):
        read_volume(VolumeRef(path))


def test_colour_and_complex_images_are_refused(tmp_path):
    rgb = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name, array in {"rgb": rgb, "complex": np.ones((3, 4, 5), np.complex64)}.items():
        with pytest.raises(BadVolume, match="not real numbers"):
            read_volume(VolumeRef(save(tmp_path / f"{name}.nii.gz", array)))
    sitk.WriteImage(sitk.Image([3, 4, 5], sitk.sitkVectorFloat32, 2), str(tmp_path / "vector.mha"))
    with pytest.raises(BadVolume, match="2 components"):
        read_volume(VolumeRef(tmp_path / "vector.mha"))


def test_unknown_format_lists_the_known_ones(tmp_path):
    (tmp_path / "x.png").write_bytes(b"1")
    with pytest.raises(BadVolume, match="known: NIfTI"):
        read_volume(VolumeRef(tmp_path / "x.png"))


@pytest.mark.parametrize("target", ["../outside.raw", "/etc/hostname", "LIST", "slice%03d.raw"])
def test_headers_whose_data_lie_elsewhere_are_refused(tmp_path, target):
    (tmp_path / "outside.raw").write_bytes(bytes(8))
    path = tmp_path / "in" / "x.mhd"
    path.parent.mkdir()
    path.write_text(f"NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {target}\n")
    with pytest.raises(BadVolume, match=r"outside its folder|more than one file"):
        read_volume(VolumeRef(path))


def test_dangling_link_is_refused(tmp_path):
    (tmp_path / "x.nii.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadVolume, match="cannot be read"):
        read_volume(VolumeRef(tmp_path / "x.nii.gz"))


@pytest.mark.parametrize("name", ["head.nrrd", "head.mha"])
def test_reading_by_itk_leaves_the_locale(tmp_path, name):
    import locale

    sitk.WriteImage(itk_image(blob(), affine()), str(tmp_path / name))
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    decode(VolumeRef(tmp_path / name))
    assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
def test_a_mgh_file_without_a_grid_is_refused(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", matrix=affine((2.0, 2.0, 2.0)))
    data = bytearray(gzip.decompress(path.read_bytes()) if suffix == ".mgz" else path.read_bytes())
    assert decode(VolumeRef(path))[0].shape == blob().shape
    data[28:30] = bytes(2)
    path.write_bytes(gzip.compress(data) if suffix == ".mgz" else data)
    with pytest.raises(BadVolume, match="states no axes and no voxel size"):
        decode(VolumeRef(path))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s123--abc.nii.gz\n", "git annex get"),
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "page of a web site"),
        (b"", "is empty"),
    ],
)
def test_what_lies_in_the_place_of_a_file_is_named(tmp_path, suffix, data, said):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(BadVolume, match=said):
        decode(VolumeRef(path))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_header_that_leaves_left_and_right_open_is_doubted(tmp_path, suffix):
    image = nib.Nifti1Image(blob(), None)
    image.header.set_zooms((1, 1, 2))
    nib.save(image, tmp_path / f"open{suffix}")
    assert "left and right may be swapped" in doubts(VolumeRef(tmp_path / f"open{suffix}"))
    assert not doubts(VolumeRef(save(tmp_path / f"stated{suffix}")))
    assert not doubts(VolumeRef(save(tmp_path / "a.mgz")))
