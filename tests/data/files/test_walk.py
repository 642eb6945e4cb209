"""What lies under a folder: links, pipes and foreign names neither stop nor fool the walk."""

import os

import pytest
from tiny_dicom import write_slices
from tiny_volumes import save

from studykit.data.files.folder import read_folder
from studykit.data.files.text import read_text, readable
from studykit.data.files.walk import stem, walk
from studykit.data.sources import prepared_source
from studykit.data.splits import split_subjects
from studykit.data.volumes.volumes import read_volume


def test_linked_folders_are_entered_once(tmp_path):
    save(tmp_path / "disk" / "a.nii")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    assert [subject.id for subject in read_folder(tmp_path / "in")] == ["a"]


def test_linked_images_of_a_layout_are_read(tmp_path):
    save(tmp_path / "disk" / "a.nii")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "imagesTr").symlink_to(tmp_path / "disk")
    assert [subject.id for subject in read_folder(tmp_path / "in")] == ["a"]


def test_broken_links_and_pipes_are_said_and_passed_over(tmp_path):
    save(tmp_path / "a.nii")
    (tmp_path / "README").symlink_to("nowhere")
    for name in ("x.dcm", "y.nii.gz"):
        (tmp_path / name).symlink_to("nowhere")
    for name in ("pipe", "pipe.nii"):
        os.mkfifo(tmp_path / name)
    found = walk(tmp_path)
    assert [path.name for path in found.volumes] == ["a.nii"] and not found.dicom
    assert {entry.path.name: entry.reason for entry in found.unused} == {
        "x.dcm": "is a broken link", "y.nii.gz": "is a broken link", "pipe.nii": "is no regular file",
    }  # fmt: skip
    assert found.others[""] == 2


def test_a_text_without_suffix_is_no_dicom_file(tmp_path):
    for name in ("README", "LICENSE", "notes.1"):
        (tmp_path / name).write_text("Copyright of these data, which are for all. " * 40)
    assert not walk(tmp_path).dicom


def test_names_that_are_no_utf8_are_read_and_split(tmp_path):
    name = os.fsdecode(b"b\xe9")
    for suffix in ("nii", "mha"):
        folder = tmp_path / suffix
        save(folder / "a.nii")
        if suffix == "nii":
            os.rename(folder / "a.nii", folder / f"{name}.nii")
        else:
            import SimpleITK as sitk

            sitk.WriteImage(sitk.ReadImage(str(folder / "a.nii")), str(folder / "a.mha"))
            (folder / "a.nii").unlink()
            os.rename(folder / "a.mha", folder / f"{name}.MHA")
        prepared = prepared_source(f"folder:{folder}", 2.0, cache=tmp_path / "cache")
        (volume,) = prepared.volumes
        assert volume.subject == "b\\xe9"
        assert volume.subject in sum(
            vars(split_subjects([volume.subject, "x", "y"], seed=1, val=1, test=1)).values(), ()
        )


def test_dicom_under_a_foreign_name_is_read(tmp_path):
    folder = write_slices(tmp_path / "in")
    os.rename(folder / "003.dcm", os.fsencode(folder) + b"/\xe9.dcm")
    (subject,) = read_folder(folder)
    assert read_volume(subject.image).array.shape[2] == 8


@pytest.mark.parametrize(("name", "expected"), [("A.NII.GZ", "A"), ("x.v2.nii", "x.v2"), ("b.mgh.gz", "b")])
def test_the_stem_of_a_volume(tmp_path, name, expected):
    assert stem(tmp_path / name) == expected


def test_text_in_utf8_with_a_mark_and_in_latin_1(tmp_path):
    file = tmp_path / "t.txt"
    for data in ("é".encode(), "\ufeffé".encode(), "é".encode("latin-1")):
        file.write_bytes(data)
        assert read_text(file) == "é"
    assert readable("é") == "é"


@pytest.mark.parametrize(
    "name",
    [
        "a.nii.gz.part",
        "a.nii.crdownload",
        "a.dcm.gz",
        "a.nrrd.gz",
        "a.nii.gz.gpg",
        "a.nii ",
        "a.nii.gz~",
        "a.MHA.bak",
    ],
)
def test_packed_and_half_fetched_volumes_are_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    found = walk(tmp_path)
    (entry,) = found.unused
    assert entry.path.name == name and "more behind a volume's suffix" in entry.reason
    assert not found.others and not found.volumes


@pytest.mark.parametrize(
    "name", ["a.nii.gz.json", "a.nii.md5", "a.dcm.xml", "a.nii.gz.dvc", "a.mha.sha256", "nii.txt"]
)
def test_remarks_beside_a_volume_are_other_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert not walk(tmp_path).unused and sum(walk(tmp_path).others.values()) == 1
