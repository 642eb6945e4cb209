"""Who is one subject as tables say it, and what is said of a table that cannot be used."""

from pathlib import Path

import pytest

from studykit.data.files.people import name_subjects
from studykit.data.files.told import read_told, said_in_vain, told_subject


def said(told, *names):
    return [told_subject(Path(name), told) for name in names]


def test_a_table_says_it_outright(tmp_path):
    (tmp_path / "subjects.csv").write_text("file,subject\nx/one.nii,anna\ntwo,anna\nthree.nii,ben\n")
    told = read_told(tmp_path)
    assert said(told, "x/one.nii", "two.nii", "y/three.nii", "four.nii") == ["anna", "anna", "ben", ""]
    (tmp_path / "subjects.csv").write_text("image,subject\n")
    with pytest.raises(
        ValueError, match=r"subjects\.csv needs the columns file and subject; it has \['image'"
    ):
        read_told(tmp_path)


def test_participants_are_known_by_their_ids(tmp_path):
    (tmp_path / "participants.tsv").write_text(
        "\ufeffparticipant_id\tage\nK7\t60\nK77\t61\n", encoding="utf-8"
    )
    told = read_told(tmp_path)
    assert said(told, "K7_left_x1.nii", "K7-x2.nii", "deep/K77/x3.nii") == ["K7", "K7", "K77"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_as_spreadsheets_write_it_is_read(tmp_path, mark):
    rows = [("file", "subject", "age"), ("x\\one.nii", "anna", "3"), ("./two.nii", "anna", "4")]
    (tmp_path / "subjects.csv").write_text("\r\n".join(mark.join(row) for row in rows))
    assert said(read_told(tmp_path), "x/one.nii", "two.nii", "x/two2.nii") == ["anna", "anna", ""]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a.nii,anna\na.nii,ben\n", "gives a.nii to two subjects: anna and ben"),
        ("a.nii,\n", "line 2 needs a file and a subject"),
        ("a.nii\n", "line 2 needs a file and a subject"),
        ('a.nii,anna\n"b.nii,ben\nc.nii,carl\n', "cannot be read as a table, at line"),
    ],
)
def test_a_table_that_says_nothing_or_two_things_is_refused(tmp_path, rows, reason):
    (tmp_path / "subjects.csv").write_text(f"file,subject\n{rows}")
    with pytest.raises(ValueError, match=reason):
        read_told(tmp_path)


def test_what_a_table_says_outright_is_not_taken_for_another_spelling(tmp_path):
    (tmp_path / "subjects.csv").write_text("file,subject\na.nii,P1\nb.nii,P01\n")
    names = [(Path("a.nii"), "a"), (Path("b.nii"), "b")]
    assert list(name_subjects(names, read_told(tmp_path)).values()) == ["P1", "P01"]


def test_a_participants_number_is_no_sessions(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\n01\n02\n")
    told = read_told(tmp_path)
    names = [f"sub-{s}/ses-{v}/anat/sub-{s}_ses-{v}_T1w.nii" for s in ("01", "02") for v in ("01", "02")]
    assert said(told, *names) == ["01", "01", "02", "02"]
    assert said(told, "x/ses-02_01.nii") == ["01"]
    assert said(told, "P/ses-02/run-01.nii", "02/visit_01/t1.nii", "sub-03/ses-01_T1w.nii") == ["", "02", ""]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("participant_id,age\r\nK7,3\r\nK8,3\r\n", "utf-8"),
        ("participant_id;age\nK7;3,5\nK8;4\n", "latin-1"),
        ("participant_id\tage\nK7\t3\nK8\t3\n", "utf-16"),
        ("age\t participant_id\n3\tK7\nn/a\tn/a\n", "utf-8-sig"),
    ],
)
def test_participants_as_spreadsheets_write_them_are_read(tmp_path, content, encoding):
    (tmp_path / "participants.tsv").write_bytes(content.encode(encoding))
    told = read_told(tmp_path)
    assert said(told, "K7_left_x1.nii", "x/K7/y.nii", "a.nii") == ["K7", "K7", ""]
    assert said_in_vain(tmp_path, [Path("K7_left_x1.nii")], told) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id\tage\nK7\t60\n", "it needs the column participant_id; it has ['id', 'age']"),
        ("", "it needs the column participant_id; it has []"),
        ("participant_id\tage\n", "it names nobody"),
        ('participant_id\tage\n"K7\t60\nK8\t3\n', "it cannot be read as a table, at line"),
        ("participant_id\nQ1\n", "names nobody whose id stands in a file's path"),
    ],
)
def test_participants_that_say_nothing_are_named(tmp_path, content, reason):
    (tmp_path / "participants.tsv").write_text(content)
    (entry,) = said_in_vain(tmp_path, [Path("K7_x.nii")], read_told(tmp_path))
    assert entry.path.name == "participants.tsv" and reason in entry.reason
