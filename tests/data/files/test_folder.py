import json
from pathlib import Path

import numpy as np
import pytest
from tiny_volumes import blob, save, save_series

from studykit.data.files.folder import read_folder, survey
from studykit.data.sources import open_source


def table(root: Path) -> list[tuple]:
    """Id, image, labels, modality of every entry, files relative to the root."""
    rows = []
    for subject in read_folder(root):
        names = [
            None if r is None else r.path.relative_to(root).as_posix()
            for r in (subject.image, subject.labels)
        ]
        rows.append((subject.id, *names, subject.modality))
    return rows


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_flat_folder_takes_stems_and_skips_hidden_files(tmp_path):
    touch(
        tmp_path,
        "b.nii.gz",
        "a.mha",
        "c.nrrd",
        "d.mgz",
        "._a.mha",
        ".hidden/e.nii",
        "readme.txt",
        "scan.v2.nii",
    )
    assert [row[0] for row in table(tmp_path)] == ["a", "b", "c", "d", "scan.v2"]


def test_flat_labels_go_with_the_image_they_are_named_after(tmp_path):
    touch(tmp_path, "a.nii.gz", "a_seg.nii.gz", "b.nii.gz", "c_mask.nii.gz")
    assert table(tmp_path) == [
        ("a", "a.nii.gz", "a_seg.nii.gz", "unknown"),
        ("b", "b.nii.gz", None, "unknown"),
    ]


def test_sub_folders_name_the_subject_where_file_names_do_not(tmp_path):
    touch(
        tmp_path,
        "p1/image.nii.gz",
        "p2/image.nii.gz",
        "case3/case3_t1.nii.gz",
        "case3/case3_t2.nii.gz",
        "x/y.nii",
    )
    assert [row[0] for row in table(tmp_path)] == ["case3", "case3", "p1", "p2", "y"]


def test_bids(tmp_path):
    touch(
        tmp_path,
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
        "sub-02/anat/sub-02_acq-a_T1w.nii.gz",
        "sub-02/anat/sub-02_acq-b_T1w.nii.gz",
        "sub-03/anat/sub-03_T1w.nii.gz",
        "sub-03/anat/sub-03_FLAIR.nii.gz",
        "derivatives/x/sub-01/ses-2/anat/sub-01_ses-2_desc-manual_dseg.nii.gz",
        "derivatives/x/sub-02/anat/sub-02_acq-b_dseg.nii.gz",
        "derivatives/x/sub-03/anat/sub-03_FLAIR_dseg.nii.gz",
        "derivatives/x/sub-03/anat/sub-03_space-MNI_T1w.nii.gz",
    )
    deriv = "derivatives/x"
    assert table(tmp_path) == [
        ("sub-01", "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", None, "T1w"),
        (
            "sub-01",
            "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
            f"{deriv}/sub-01/ses-2/anat/sub-01_ses-2_desc-manual_dseg.nii.gz",
            "T1w",
        ),
        ("sub-02", "sub-02/anat/sub-02_acq-a_T1w.nii.gz", None, "T1w"),
        (
            "sub-02",
            "sub-02/anat/sub-02_acq-b_T1w.nii.gz",
            f"{deriv}/sub-02/anat/sub-02_acq-b_dseg.nii.gz",
            "T1w",
        ),
        (
            "sub-03",
            "sub-03/anat/sub-03_FLAIR.nii.gz",
            f"{deriv}/sub-03/anat/sub-03_FLAIR_dseg.nii.gz",
            "FLAIR",
        ),
        ("sub-03", "sub-03/anat/sub-03_T1w.nii.gz", None, "T1w"),
    ]


def test_verse_layout_with_rawdata_and_two_label_maps(tmp_path):
    touch(
        tmp_path,
        "rawdata/sub-verse004/sub-verse004_ct.nii.gz",
        "derivatives/sub-verse004/sub-verse004_seg-subreg_msk.nii.gz",
        "derivatives/sub-verse004/sub-verse004_seg-vert_msk.nii.gz",
    )
    (subject,) = read_folder(tmp_path)
    assert (subject.id, subject.modality) == ("sub-verse004", "CT")
    assert "sub-verse004_seg-vert_msk.nii.gz" in subject.note


def test_nnunet_layout_with_channels(tmp_path):
    touch(
        tmp_path,
        "imagesTr/case_1_0000.nii.gz",
        "imagesTr/case_1_0001.nii.gz",
        "imagesTr/case_2_0000.nii.gz",
        "imagesTr/._case_2_0000.nii.gz",
        "imagesTs/case_3_0000.nii.gz",
        "labelsTr/case_1.nii.gz",
    )
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT", "1": "odd"}}))
    assert table(tmp_path) == [
        ("case_1", "imagesTr/case_1_0000.nii.gz", "labelsTr/case_1.nii.gz", "CT"),
        ("case_1", "imagesTr/case_1_0001.nii.gz", "labelsTr/case_1.nii.gz", "unknown"),
        ("case_2", "imagesTr/case_2_0000.nii.gz", None, "CT"),
    ]


def test_the_same_cases_to_train_and_to_test_keep_their_channels_and_labels(tmp_path):
    names = [f"la_00{case}_000{channel}.nii.gz" for case in (3, 4) for channel in (0, 1)]
    touch(tmp_path, *(f"{folder}/{name}" for folder in ("imagesTr", "imagesTs") for name in names))
    touch(tmp_path, "labelsTr/la_003.nii.gz", "labelsTr/la_004.nii.gz")
    assert [row[:3] for row in table(tmp_path)] == [
        (name[:6], f"imagesTr/{name}", f"labelsTr/{name[:6]}.nii.gz") for name in names
    ]
    assert {entry.path.parent.name for entry in survey(tmp_path).unused} == {"imagesTs"}


TASKS = ((1, "hip"), (2, "pro"))


def test_a_folder_of_tasks_has_the_subjects_of_each_task(tmp_path):
    touch(tmp_path, *(f"Dataset00{n}_X/imagesTr/{w}_00{c}_0000.nii.gz" for n, w in TASKS for c in (1, 2, 3)))
    assert [row[0] for row in table(tmp_path)] == [f"{w}_00{c}" for _, w in TASKS for c in (1, 2, 3)]


def test_numbers_in_a_test_folder_without_channels_are_cases(tmp_path):
    touch(tmp_path, *(f"imagesTs/amos_00{n}.nii.gz" for n in ("08", "09", "12")))
    assert len({row[0] for row in table(tmp_path)}) == 3


def test_a_table_of_participants_that_cannot_be_used_is_said(tmp_path):
    touch(tmp_path, "K7_x.nii")
    (tmp_path / "participants.tsv").write_text("id\nK7\n")
    (entry,) = survey(tmp_path).unused
    assert entry.path.name == "participants.tsv" and "needs the column participant_id" in entry.reason


def test_four_digits_that_belong_to_the_name_stay(tmp_path):
    touch(
        tmp_path,
        "images/scan_0001.nii",
        "images/scan_0002.nii",
        "labels/scan_0001.nii",
        "labels/scan_0002.nii",
    )
    assert [(row[0], row[2]) for row in table(tmp_path)] == [
        ("scan_0001", "labels/scan_0001.nii"),
        ("scan_0002", "labels/scan_0002.nii"),
    ]


def test_dicom_series_belong_to_their_patient(tmp_path):
    save_series(tmp_path / "a" / "s1", blob(), patient="P1", series="1.2.3.1")
    save_series(tmp_path / "a" / "s2", blob(), patient="P1", series="1.2.3.2", modality="CT")
    save_series(tmp_path / "b" / "s1", blob(), patient="P2", series="1.2.3.3")
    found = read_folder(tmp_path)
    assert [(s.id, s.modality, len(s.image.parts)) for s in found] == [
        ("P1", "MR", 10),
        ("P1", "CT", 10),
        ("P2", "MR", 10),
    ]


def test_dicom_with_one_anonymous_patient_falls_back_to_folders(tmp_path):
    for name in ("a", "b"):
        save_series(tmp_path / name / "s", blob(), patient="anon", series=f"1.2.3.{ord(name)}")
    assert [subject.id for subject in read_folder(tmp_path)] == ["a", "b"]


def test_two_series_in_one_folder_are_two_images(tmp_path):
    save_series(tmp_path, blob(), series="1.2.3.1")
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / f"first-{path.name}")
    save_series(tmp_path, blob(), series="1.2.3.2")
    assert [len(subject.image.parts) for subject in read_folder(tmp_path)] == [10, 10]


def test_one_file_is_a_collection(tmp_path):
    path = save(tmp_path / "one.nii.gz")
    collection = open_source(f"folder:{path}", cache=tmp_path / "cache")
    assert collection.ids == ("one",)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source(f"folder:{tmp_path}/nowhere", cache=tmp_path)
    touch(tmp_path / "empty", "notes.txt")
    with pytest.raises(FileNotFoundError, match=r"holds no volume; looked for \.nii\.gz"):
        open_source(f"folder:{tmp_path}/empty", cache=tmp_path)


def test_large_flat_folder_pairs_every_label(tmp_path):
    count = 200
    touch(tmp_path, *(f"s{i}.nii" for i in range(count)), *(f"s{i}_seg.nii" for i in range(count)))
    found = read_folder(tmp_path)
    assert len(found) == count and all(s.labels is not None for s in found)
    assert np.all([s.labels.path.name == f"{s.id}_seg.nii" for s in found])


def test_one_person_in_dicom_and_nifti_is_one_subject(tmp_path):
    save(tmp_path / "p01.nii")
    save_series(tmp_path / "scan", blob(), patient="P_01")
    save_series(tmp_path / "other", blob(), patient="P2", series="1.2.3")
    save(tmp_path / "P-1_T1.nii")
    assert sorted({subject.id for subject in read_folder(tmp_path)}) == ["P-1", "P2"]


def test_a_table_names_series_too_and_what_it_names_in_vain_is_said(tmp_path):
    save(tmp_path / "one.nii")
    save_series(tmp_path / "scan", blob(), patient="P1")
    (tmp_path / "subjects.csv").write_text("file,subject\none.nii,anna\nscan,anna\nOne.nii,ben\n")
    found = survey(tmp_path)
    assert {subject.id for subject in found.subjects} == {"anna"}
    assert [entry.reason for entry in found.unused] == ["names what is not here: One.nii"]
