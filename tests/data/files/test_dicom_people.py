"""Whose DICOM series are, where PatientID, study, series and folders say different things."""

import pytest
from tiny_dicom import voxels, write_file, write_slices
from tiny_volumes import save

from studykit.data.files.folder import read_folder, survey
from studykit.data.volumes.volumes import read_volume


def series(root, folder, number, **tags):
    given = {"SeriesInstanceUID": f"1.2.{number}", "StudyInstanceUID": f"1.4.{number}"} | tags
    write_slices(root / folder, voxels()[:3] + number, **given)


def owners(root):
    return {one.image.path.relative_to(root).as_posix(): one.id for one in read_folder(root)}


@pytest.mark.parametrize("patient", ["", "ANONYMOUS", "0000", "K1"])
@pytest.mark.parametrize(
    "folders",
    [
        {"P001_v1": "P001", "P001_v2": "P001", "P002_v1": "P002"},
        {"baseline/P001": "P001", "followup/P001": "P001", "baseline/P002": "P002"},
        {"anna/s1": "anna", "anna/s2": "anna", "ben/s3": "ben"},
        {"100307/AX_T1_2": "100307", "100307/AX_T2_3": "100307", "100408/AX_T1_2": "100408"},
        {"v1/P01/s1": "P01", "v2/P01/s2": "P01", "v1/P02/s1": "P02"},
    ],
)
def test_folders_tell_where_the_patients_id_says_nothing(tmp_path, folders, patient):
    for number, folder in enumerate(folders):
        series(tmp_path, folder, number, PatientID=patient)
    assert owners(tmp_path) == folders


@pytest.mark.parametrize("numbers", [("7", "7", "8"), ("7", "9", "8")])
def test_a_pseudonym_joins_folders_and_never_parts_one(tmp_path, numbers):
    """Some anonymisers number people, some number every series: what shares either is one person's."""
    folders = ("K1/a", "K2/a", "K3/a") if numbers[0] == numbers[1] else ("K1/a", "K1/b", "K3/a")
    for number, (folder, own) in enumerate(zip(folders, numbers, strict=True)):
        series(tmp_path, folder, number, PatientID=f"ANON000{own}")
    found = owners(tmp_path)
    assert [found[folders[0]] == found[folder] for folder in folders] == [True, True, False]


@pytest.mark.parametrize("name", ["MASKS_DICOM/liver", "LABELLED_DICOM", "segmentations"])
def test_label_maps_as_series_are_no_images_and_said(tmp_path, name):
    series(tmp_path, "3D1/PATIENT_DICOM", 0)
    series(tmp_path, f"3D1/{name}", 1)
    assert list(owners(tmp_path)) == ["3D1/PATIENT_DICOM"]
    assert {entry.reason for entry in survey(tmp_path).unused} == {
        "lies in a folder of label maps; those in DICOM are not read: convert them to NIfTI"
    }


def test_the_images_of_one_study_are_one_persons(tmp_path):
    for number, folder in enumerate(("chest", "abdomen", "thin")):
        series(tmp_path, folder, number, PatientID="4711", StudyInstanceUID="1.3")
    assert len(set(owners(tmp_path).values())) == 1


@pytest.mark.parametrize("kind", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_study_of_a_nameless_patient_joins_where_there_are_others(tmp_path, kind):
    for number, folder in enumerate(("chest", "abdomen", "other")):
        series(tmp_path, folder, number, PatientID="anon", **({kind: "1.3"} if number < 2 else {}))
    found = owners(tmp_path)
    assert found["chest"] == found["abdomen"] != found["other"]


def test_an_image_beside_the_series_is_the_same_persons(tmp_path):
    for number in (1, 2):
        series(tmp_path, f"P{number}/dicom", number, PatientID=f"471{number}")
        save(tmp_path / f"P{number}" / "t1.nii")
    series(tmp_path, "P3/dicom", 3, PatientID="4711")
    found = owners(tmp_path)
    assert found == {
        "P1/dicom": "P1", "P1/t1.nii": "P1", "P2/dicom": "P2", "P2/t1.nii": "P2", "P3/dicom": "P1",
    }  # fmt: skip


def test_participants_are_known_by_the_patients_id_too(tmp_path):
    series(tmp_path, "x", 1, PatientID="K7")
    series(tmp_path, "y", 2, PatientID="K8")
    save(tmp_path / "K7_left.nii")
    (tmp_path / "participants.tsv").write_text("participant_id\nK7\nK8\n")
    assert owners(tmp_path) == {"x": "K7", "y": "K8", "K7_left.nii": "K7"}


@pytest.mark.parametrize("second", [range(4, 8), range(6, 10)])
def test_a_series_over_two_folders_is_one_volume_or_said(tmp_path, second):
    for folder, places in {"S1": range(4), "S2": second}.items():
        for place in places:
            tags = {"ImagePositionPatient": [0, 0, 5 * place], "PatientID": "anon"}
            write_file(tmp_path / folder / f"{place}.dcm", voxels()[place % 8], **tags)
    found = read_folder(tmp_path)
    assert {one.note for one in found} == {"its series is spread over the folders S1, S2"}
    if second.start == 4:
        (subject,) = found
        assert subject.image.parts == tuple(f"S{1 + n // 4}/{n}.dcm" for n in range(8))
        assert read_volume(subject.image).array.shape[2] == 8
    else:
        assert [len(one.image.parts) for one in found] == [4, 4]
