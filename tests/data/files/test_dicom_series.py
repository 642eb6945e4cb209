"""Which files are one volume, which are several, and what is said of the others."""

import pytest
from tiny_dicom import evenly, voxels, write_file, write_slices

from studykit.data.files.dicom_series import sort_dicom
from studykit.data.files.folder import read_folder, survey
from studykit.data.volumes.volumes import read_volume


def files(folder):
    return sorted(folder.iterdir())


@pytest.mark.parametrize("tag", ["EchoTime", "AcquisitionNumber", "TemporalPositionIdentifier"])
def test_slices_at_the_same_places_are_as_many_volumes(tmp_path, tag):
    for part in (1, 2):
        write_slices(tmp_path / "x", **{tag: part})
        for path in files(tmp_path / "x"):
            path.rename(tmp_path / f"{part}-{path.name}")
    (tmp_path / "x").rmdir()
    found = sort_dicom(files(tmp_path)).series
    assert [len(series.names) for series in found] == [8, 8]
    assert [series.note.split()[0] for series in found] == [tag, tag] and found[0].note != found[1].note
    assert all({name[0] for name in series.names} in ({"1"}, {"2"}) for series in found)
    assert len({subject.id for subject in read_folder(tmp_path)}) == 1


def test_slices_at_the_same_places_that_nothing_tells_apart_are_refused(tmp_path):
    write_slices(tmp_path, positions=evenly(4) * 2)
    (subject,) = read_folder(tmp_path)
    with pytest.raises(ValueError, match="slices are missing or doubled: steps from 0 to 5 mm"):
        read_volume(subject.image)


def test_two_patients_under_one_series_uid_are_two_volumes(tmp_path):
    own = {number: {"PatientID": "P2"} for number in range(4, 8)}
    write_slices(tmp_path, positions=evenly(4) * 2, own=own)
    assert [(subject.id, len(subject.image.parts)) for subject in read_folder(tmp_path)] == [
        ("P1", 4),
        ("P2", 4),
    ]


def test_names_come_in_the_order_of_slices(tmp_path):
    write_slices(tmp_path, positions=evenly()[::-1])
    (series,) = sort_dicom(files(tmp_path)).series
    assert series.names == tuple(f"{number:03d}.dcm" for number in range(7, -1, -1))


@pytest.mark.parametrize(
    ("modality", "said"),
    [
        ("RTDOSE", "a radiotherapy dose"),
        ("SEG", "a segmentation"),
        ("RTSTRUCT", "contours"),
        ("SR", "a report"),
    ],
)
def test_what_is_no_image_is_said(tmp_path, modality, said):
    write_slices(tmp_path / "ct")
    write_file(tmp_path / "more" / "x.dcm", voxels(), Modality=modality, SeriesInstanceUID="1.2.3.10")
    found = survey(tmp_path)
    assert [subject.modality for subject in found.subjects] == ["CT"]
    assert [(entry.path.name, said in entry.reason) for entry in found.unused] == [("x.dcm", True)]


@pytest.mark.parametrize(("data", "said"), [(b"", "x.dcm is empty"), (b"no header" * 40, "or damaged")])
def test_a_damaged_file_is_an_image_that_is_refused(tmp_path, data, said):
    write_slices(tmp_path)
    (tmp_path / "x.dcm").write_bytes(data)
    whole, damaged = read_folder(tmp_path)
    assert read_volume(whole.image).array.shape[2] == 8 and damaged.id == whole.id
    with pytest.raises(ValueError, match=said):
        read_volume(damaged.image)


@pytest.mark.parametrize("name", ["{}.dicom", "{}.IMA", "{}", "{}.1.2.840", "{}.DCM", "{}.tmp"])
def test_files_under_any_name_are_found(tmp_path, name):
    write_slices(tmp_path)
    for path in files(tmp_path):
        path.rename(path.with_name(name.format(path.stem)))
    assert [len(subject.image.parts) for subject in read_folder(tmp_path)] == [8]


def test_a_patient_id_in_latin_1_is_text(tmp_path):
    write_slices(tmp_path, SpecificCharacterSet="ISO_IR 100", PatientID="Pät01")
    (subject,) = read_folder(tmp_path)
    assert subject.id == "Pät01"
