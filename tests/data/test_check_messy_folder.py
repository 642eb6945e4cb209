"""A folder with one of each kind, as ``studykit data check`` tells of it."""

import os
import re

import nibabel as nib
import numpy as np
import pytest
from tiny_dicom import write_file, write_slices
from tiny_volumes import affine, blob, save

from studykit.cli import main

ROWS = {
    "P01_visit1_T1w.nii.gz": ("P01", "1 2", "ok"),
    "P01_visit2_T1w.nii.gz": ("P01", "-", "ok"),
    "P02_T1w.nii.gz": ("P02", "-", "ok; has the same voxels as P02_T1w (1).nii.gz"),
    "P03_T1w.nii.gz": (
        "P03",
        "-",
        "refused: P03_seg.nii.gz: labels lie on another grid than P03_T1w.nii.gz: shape (13, 12, 10)",
    ),
    "P04_T1w.nii.gz": ("P04", "-", "refused: is constant: every voxel is 0"),
    "P05_T1w.nii.gz": ("P05", "-", "refused: its header states no voxel size along three axes"),
    "P06_T1w.nii.gz": ("P06", "-", "refused: truncated or damaged"),
    "P08_T1w.nii.gz": ("P08", "-", "refused: is a pointer of git-lfs"),
    "P14_T1w.nii.gz": ("P14", "-", "refused: is empty"),
    "P13_T1w.nii": ("P13", "-", "ok; its header does not say which way its axes run"),
    "ct/P11 (8 files)": ("P11", "-", "ok"),
    "ct/P12 (7 files)": ("P12", "-", "refused: slices are missing or doubled"),
    "odd.nii": ("odd", "-", "ok; has 3 whole values: a label map?"),
}
UNUSED = {
    "P09_T1w.nii.gz": "is a broken link",
    "P10_T1w.nii": "is no regular file",
    "P15_T1w_brainmask.nii.gz": "is a mask of something else than structures",
    "ct/P11/dose.dcm": "is a radiotherapy dose, no image",
    "scan.img": "is of a format that is not read",
    f"P07_T1w.nii.gz.part, {', '.join(f'a{n}.dcm.gz' for n in range(7))} and 3 more": (
        "has more behind a volume's suffix"
    ),
    "subjects.csv": "names what is not here: P99.nii",
}


@pytest.fixture
def messy(tmp_path):
    folder = tmp_path / "messy folder"
    labels = np.zeros(blob().shape, np.int16)
    labels[4:8, 4:8, 4:8], labels[4:6, 4:6, 4:6] = 1, 2
    for seed, name in enumerate(("P01_visit1", "P01_visit2", "P02", "P03")):
        save(folder / f"{name}_T1w.nii.gz", blob(seed=seed))
    (folder / "P02_T1w (1).nii.gz").write_bytes((folder / "P02_T1w.nii.gz").read_bytes())
    save(folder / "P01_visit1_T1w_seg.nii.gz", labels)
    save(folder / "P03_seg.nii.gz", labels[:-1])
    save(folder / "P04_T1w.nii.gz", np.zeros((8, 8, 8), np.float32))
    for name, sizes in (("P05_T1w.nii.gz", (0, 1, 1)), ("P13_T1w.nii", (1, 1, 2))):
        image = nib.Nifti1Image(blob(seed=9), None)
        image.header.set_zooms(sizes)
        nib.save(image, folder / name)
    (folder / "P06_T1w.nii.gz").write_bytes((folder / "P02_T1w.nii.gz").read_bytes()[:600])
    (folder / "P08_T1w.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "P14_T1w.nii.gz").write_bytes(b"")
    save(folder / "odd.nii", labels)
    write_slices(folder / "ct" / "P11", PatientID="P11")
    write_slices(folder / "ct" / "P12", PatientID="P12", SeriesInstanceUID="1.2.4")
    (folder / "ct" / "P12" / "005.dcm").unlink()
    write_file(folder / "ct" / "P11" / "dose.dcm", np.zeros((4, 12, 14)), Modality="RTDOSE")
    save(folder / "P15_T1w_brainmask.nii.gz", labels, affine())
    os.symlink("nowhere.nii.gz", folder / "P09_T1w.nii.gz")
    os.mkfifo(folder / "P10_T1w.nii")
    (folder / "subjects.csv").write_text("file,subject\nP99.nii,P01\n")
    for name in (
        "P07_T1w.nii.gz.part",
        "scan.img",
        "notes.txt",
        "P01.json",
        *(f"a{n}.dcm.gz" for n in range(10)),
    ):
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_with_one_of_each_kind_is_told_like_a_note(messy, capsys):
    status = main(["data", "check", f"folder:{messy}"])
    table, _, rest = capsys.readouterr().out.partition("\n\n")
    assert status == 1 and str(messy) not in table + rest
    rows = {cells[1]: cells for cells in (re.split(r"  +", line) for line in table.splitlines()[1:])}
    assert rows.keys() == ROWS.keys() | {"P02_T1w (1).nii.gz"}
    for image, (subject, labels, verdict) in ROWS.items():
        assert (rows[image][0], rows[image][-2]) == (subject, labels), image
        assert rows[image][-1].startswith(verdict), image
    assert rows["P01_visit1_T1w.nii.gz"][2:6] == [
        "T1w",
        "14×12×10",
        "1×1×1",
        rows["P01_visit1_T1w.nii.gz"][5],
    ]
    summary, *lines = rest.splitlines()
    assert summary == (
        "12 subjects with 14 images; usable: 7 images of 5 subjects, 1 with a label map; refused: 7"
    )
    assert lines[0].endswith("one subject: P01 is P01_visit1_T1w.nii.gz, P01_visit2_T1w.nii.gz")
    assert lines[1].endswith("one subject: P02 is P02_T1w (1).nii.gz, P02_T1w.nii.gz")
    assert "a table subjects.csv" in lines[2] and lines[3] == "17 files not used:"
    unused = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines[4:-1])
    assert unused.keys() == UNUSED.keys()
    assert all(unused[name].startswith(reason) for name, reason in UNUSED.items())
    assert lines[-1] == "other files: 1 .csv, 1 .json, 1 .txt"
