import tracemalloc

import numpy as np
import pytest
from tiny_template import use_toys
from tiny_volumes import affine, blob, save

from studykit.data.check import check_report, check_source, check_subjects
from studykit.data.files.folder import read_folder


def test_a_whole_folder_is_reported(tmp_path):
    data = tmp_path / "data"
    labels = np.zeros(blob().shape, np.int16)
    labels[:3, 0, 0] = [5, 0, 1035]
    save(data / "images" / "a.nii.gz", blob(), affine((1.0, 1.5, 2.0)))
    save(data / "labels" / "a.nii.gz", labels, affine((1.0, 1.5, 2.0)))
    save(data / "images" / "b.nii.gz", blob())
    save(data / "labels" / "b.nii.gz", labels[:-1])
    save(data / "images" / "c.nii.gz", np.zeros((4, 4, 4), np.float32))
    (data / "images" / "d.nii.gz").write_bytes(b"broken")
    good, misfit, constant, broken = check_source(f"folder:{data}", cache=tmp_path / "cache")
    assert good.ok and good.verdict == "ok" and good.labels == "5 1035"
    assert good.shape == (14, 12, 10) and good.spacing_mm == (1.0, 1.5, 2.0)
    assert good.intensity == (float(blob().min()), float(blob().max()))
    assert misfit.verdict.startswith("refused: labels lie on another grid")
    assert misfit.path == str(data / "labels" / "b.nii.gz") and misfit.shape == (14, 12, 10)
    assert "constant" in constant.reason and constant.shape is None
    assert not broken.ok and broken.path.endswith("d.nii.gz")


def test_many_label_values_are_counted(tmp_path):
    save(tmp_path / "images" / "a.nii", np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    save(tmp_path / "labels" / "a.nii", np.arange(64, dtype=np.int16).reshape(4, 4, 4))
    (row,) = check_source(f"folder:{tmp_path}", cache=tmp_path / "cache")
    assert row.labels == "1 2 3 4 5 6 7 8 9 10 11 12 and 51 more"


def test_what_is_made_is_checked_as_it_is_made(tmp_path, monkeypatch):
    use_toys(monkeypatch)
    rows = check_source("cohort:heads/t1:2", cache=tmp_path)
    assert len(rows) == 2 and all(row.ok for row in rows)
    assert rows[0].shape == (48, 48, 48) and rows[0].spacing_mm == (3.0, 3.0, 3.0)
    assert set(rows[0].labels.split()) <= set("123456") and rows[0].labels


def test_a_messy_folder_is_told_like_a_note(tmp_path):
    data = tmp_path / "data"
    labels = np.zeros(blob().shape, np.int16)
    labels[:3, 0, 0] = [5, 0, 7]
    save(data / "P01_visit1_T1w.nii.gz")
    save(data / "P01_visit2_T1w.nii.gz")
    save(data / "P02_T1w.nii.gz")
    save(data / "P02_seg.nii.gz", labels)
    save(data / "P03_T1w_brainmask.nii.gz", labels)
    save(data / "odd.nii", labels)
    (data / "notes.txt").write_text("read me")
    report = check_report(f"folder:{data}", cache=tmp_path / "cache")
    assert {subject: len(images) for subject, images in report.people.items()} == {
        "P01": 2,
        "P02": 1,
        "odd": 1,
    }
    rows = {row.path.rpartition("/")[2]: row for row in report.rows}
    assert rows["P02_T1w.nii.gz"].labels == "5 7" and rows["P02_T1w.nii.gz"].labels_path.endswith(
        "P02_seg.nii.gz"
    )
    assert rows["odd.nii"].ok and rows["odd.nii"].note == "has 3 whole values: a label map?"
    assert not rows["P01_visit1_T1w.nii.gz"].note
    assert [(entry.path.name, entry.reason) for entry in report.unused] == [
        ("P03_T1w_brainmask.nii.gz", "is a mask of something else than structures")
    ]
    assert dict(report.others) == {".txt": 1}


@pytest.mark.parametrize("suffix", ["nii.gz", "mgz"])
def test_one_volume_is_in_memory_at_a_time(tmp_path, suffix):
    rng = np.random.default_rng(0)
    for number in range(8):
        for name, most in (("images", 999), ("labels", 3)):
            array = rng.integers(0, most, (64, 64, 64)).astype(np.int16)
            save(tmp_path / name / f"{number}.{suffix}", array)
    subjects = read_folder(tmp_path)
    peaks = []
    for count in (1, 1, 8):
        tracemalloc.start()
        assert all(row.ok for row in check_subjects(subjects[:count]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * array.nbytes, "an image, its labels, and what is read in pieces"
    assert peaks[2] < 1.1 * peaks[1], "no more for eight"


@pytest.mark.parametrize(("values", "suspected"), [([0, 1, 2], True), (range(40), False), ([0, 0.5], False)])
def test_an_image_of_few_whole_values_is_suspected(tmp_path, values, suspected):
    """Whatever the few voxels say that are looked at first."""
    array = np.zeros((40, 40, 40), np.float32)
    array[1:-1, 1:-1, 1:-1] = np.resize(list(values), (38, 38, 38))
    array[::4, ::4, ::4] = 1
    (row,) = check_source(f"folder:{save(tmp_path / 'a.nii', array)}", cache=tmp_path / "cache")
    assert ("a label map?" in row.note) == suspected


def test_many_labels_in_patches_are_suspected_and_grey_values_are_not(tmp_path):
    place = np.indices((40, 40, 40)) // 5
    labels = (place[0] * 31 + place[1] * 7 + place[2]) % 100
    grey = np.random.default_rng(0).integers(0, 100, labels.shape)
    notes = []
    for name, array in (("labels", labels), ("grey", grey)):
        path = save(tmp_path / f"{name}.nii", array.astype(np.uint8))
        notes += [row.note for row in check_source(f"folder:{path}", cache=tmp_path / "cache")]
    assert ["a label map?" in note for note in notes] == [True, False]
    assert notes[0].startswith("has 100 whole values")
