"""Inputs of which people reported to other tools, by thread: read rightly, or refused with the reason."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_dicom import evenly, voxels, write_slices
from tiny_volumes import affine, blob, save

from studykit.data.check import check_report

LABELS = np.zeros(blob().shape, np.int16)
LABELS[4:8, 4:8, 4:8] = 1


def zero_sform(folder: Path) -> None:
    image = nib.Nifti1Image(blob(), affine())
    image.header.set_qform(affine(), 1)
    image.header["sform_code"] = 1
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    image.header["vox_offset"], image.header["magic"] = 352, b"n+1"
    voxels_as_stored = blob().astype("<f4").tobytes(order="F")
    (folder / "p1.nii").write_bytes(image.header.binaryblock + bytes(4) + voxels_as_stored)


def centred_on_the_origin(folder: Path) -> None:
    turned = np.diag([-1.0, 1.0, 1.0])
    save(
        folder / "p1.nii.gz",
        matrix=nib.affines.from_matvec(turned, -turned @ (np.array(blob().shape) - 1) / 2),
    )


def two_frames(folder: Path) -> None:
    image = nib.Nifti1Image(blob(), affine())
    image.header.set_qform(np.eye(4)[[2, 0, 1, 3]], 1)
    image.header.set_sform(affine(), 1)
    nib.save(image, folder / "p1.nii.gz")


def nearly_equal_directions(folder: Path) -> None:
    cosine, sine = np.cos(0.0166), np.sin(0.0166)
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    for name, array, off in (("p1.nii.gz", blob(), 0.0), ("p1_seg.nii.gz", LABELS, 2e-8)):
        save(folder / name, array, nib.affines.from_matvec(turned + off, (1, 2, 3)))


def labels_on(matrix: np.ndarray, labels: np.ndarray):
    def make(folder: Path) -> None:
        save(folder / "imagesTr" / "p1_0000.nii.gz")
        save(folder / "labelsTr" / "p1.nii.gz", labels, matrix)

    return make


def scout_in_the_series(folder: Path) -> None:
    scout = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "PixelSpacing": [2, 2]}
    slices = np.concatenate([voxels(), voxels()[:1]])
    write_slices(folder, slices, [*evenly(len(slices) - 1), (0, 0, 500)], own={len(slices) - 1: scout})


def a_slice_missing(folder: Path) -> None:
    left = [k for k in range(len(voxels())) if k != 4]
    write_slices(folder, voxels()[left], [evenly(len(voxels()))[k] for k in left])


def every_slice_twice(folder: Path) -> None:
    write_slices(folder, np.concatenate([voxels()] * 2), [*evenly(len(voxels()))] * 2)


def two_echoes_in_turn(folder: Path) -> None:
    echoes = {k: {"EchoTime": 90 if k % 2 else 20} for k in range(2 * len(voxels()))}
    places = [place for place in evenly(len(voxels())) for _ in range(2)]
    write_slices(folder, voxels().repeat(2, axis=0), places, own=echoes, Modality="MR")


def sheared(folder: Path) -> None:
    matrix = affine()
    matrix[0, 1] = 0.2
    save(folder / "p1.nii.gz", matrix=matrix)


def a_time_series(folder: Path) -> None:
    nib.save(nib.Nifti1Image(np.stack([blob()] * 5, -1), affine()), folder / "p1_bold.nii.gz")


def image_labels_and_masks_in_dicom(folder: Path) -> None:
    for number, name in enumerate(("PATIENT_DICOM", "LABELLED_DICOM", "MASKS_DICOM/liver")):
        write_slices(folder / "3Dircadb1.1" / name, SeriesInstanceUID=f"1.2.3.{number + 1}")


REPORTS = {
    "nipy/nibabel#624": (zero_sform, ["refused: has a voxel size of (0, 0, 0) mm"]),
    "nipy/nibabel#182": (centred_on_the_origin, ["ok"]),
    "nipreps/fmriprep#2281": (two_frames, ["ok; its sform and its qform disagree"]),
    "MIC-DKFZ/nnUNet#1287": (nearly_equal_directions, ["ok, labels 1"]),
    "MIC-DKFZ/nnUNet#1267": (
        labels_on(affine((2, 2, 1), (-20, -20, 3)), LABELS[::2, ::2]),
        ["refused: labels lie on another grid"],
    ),
    "MIC-DKFZ/nnUNet#2551": (
        labels_on(affine(origin=(-124.5, 124.5, -74.25)), LABELS),
        ["refused: labels lie on another grid"],
    ),
    "MIC-DKFZ/nnUNet#2218": (
        labels_on(affine(), LABELS[:, :, :-2]),
        ["refused: labels lie on another grid"],
    ),
    "RSIP-Vision/medio#23": (scout_in_the_series, ["refused: slices of several orientations: 008.dcm"]),
    "moloney/dcmstack#55": (a_slice_missing, ["refused: slices are missing or doubled"]),
    "icometrix/dicom2nifti#21": (every_slice_twice, ["refused: slices are missing or doubled"]),
    "SimpleITK/SimpleITK#1185": (two_echoes_in_turn, ["ok; EchoTime 20.0", "ok; EchoTime 90.0"]),
    "TorchIO-project/torchio#669": (sheared, ["ok"]),
    "TorchIO-project/torchio#684": (a_time_series, ["refused: is not 3-D: shape (14, 12, 10, 5)"]),
    "Project-MONAI/MONAI#1711": (image_labels_and_masks_in_dicom, ["ok"]),
}


@pytest.mark.parametrize(("make", "expected"), REPORTS.values(), ids=REPORTS)
def test_what_was_reported_elsewhere_is_read_or_refused_by_name(tmp_path, make, expected):
    folder = tmp_path / "reported"
    folder.mkdir()
    make(folder)
    report = check_report(f"folder:{folder}", cache=tmp_path / "cache")
    said = [
        row.verdict + (f", labels {row.labels}" if row.labels else "") + (f"; {row.note}" if row.note else "")
        for row in report.rows
    ]
    assert len(said) == len(expected)
    for ours, theirs in zip(said, expected, strict=True):
        assert ours == "ok" if theirs == "ok" else ours.startswith(theirs)


def test_labels_and_masks_in_dicom_are_no_images_and_said(tmp_path):
    image_labels_and_masks_in_dicom(tmp_path)
    report = check_report(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert {entry.path.parent.name for entry in report.unused} == {"LABELLED_DICOM", "liver"}
    assert all("in a folder of label maps" in entry.reason for entry in report.unused)
