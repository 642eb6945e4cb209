"""Data: listed, fetched, checked, in any alphabet."""

import os
import subprocess
import sys

from tiny_study import write_heads

from studykit.data.files.archives import Archive, ArchiveUnavailable


def test_data_list(call):
    said = call("data", "list")
    assert said.status == 0
    for name in ("sample-heads", "sample-head-cts", "sample-bodies", "msd:Task04_Hippocampus", "folder:PATH"):
        assert f"\n{name} " in said.out


def test_data_fetch_says_what_is_at_hand_and_how_to_get_what_is_not(call, heads, monkeypatch):
    said = call("data", "fetch", f"folder:{heads}")
    assert said.status == 0 and said.out.endswith("5 volumes of 5 subjects at hand\n")
    said = call("data", "fetch", "sample-hands")
    assert said.status == 2 and "unknown data source 'sample-hands'" in said.err
    said = call("data", "fetch", f"folder:{heads / 'nothing'}")
    assert said.status == 2 and "no such file or folder" in said.err

    def offline(name):
        raise ArchiveUnavailable(heads, {Archive("heads-1.0-py3-none-any.whl", "0" * 64, 5): "no network"})

    monkeypatch.setattr("studykit.data.sources.fetch_source", offline)
    said = call("data", "fetch")
    assert said.status == 1 and "place under the same name in" in said.err


def test_data_check_names_what_is_wrong(call, tmp_path):
    folder = write_heads(tmp_path / "own")
    said = call("data", "check", f"folder:{folder}")
    assert said.status == 0 and said.out.count(" ok") == 5 and "26×26×26" in said.out and "4×4×4" in said.out
    (folder / "broken.nii").write_bytes(b"no volume")
    said = call("data", "check", f"folder:{folder}")
    line = next(line for line in said.out.splitlines() if line.startswith("broken"))
    assert said.status == 1 and "refused: " in line and said.out.count(" ok") == 5


def test_data_check_reads_like_a_note(call, tmp_path):
    folder = write_heads(tmp_path / "own")
    first = sorted(folder.iterdir())[0]
    (folder / "twice_run-1.nii").write_bytes(first.read_bytes())
    (folder / "twice_run-2.nii").write_bytes(first.read_bytes())
    (folder / "x_brainmask.nii").write_bytes(first.read_bytes())
    (folder / "notes.txt").write_text("read me")
    said = call("data", "check", f"folder:{folder}")
    assert said.status == 0
    assert (
        "6 subjects with 7 images; usable: 7 images of 6 subjects, 0 with a label map; refused: 0" in said.out
    )
    assert "one subject: twice is twice_run-1.nii, twice_run-2.nii" in said.out
    assert "1 file not used:\n  x_brainmask.nii  is a mask of something else" in said.out
    assert "other files: 1 .txt" in said.out


def test_a_stream_that_lacks_a_letter_gets_another_one(tmp_path):
    folder = write_heads(tmp_path / "own")
    for arguments in (["data", "list"], ["data", "check", f"folder:{folder}"]):
        done = subprocess.run(
            [sys.executable, "-m", "studykit", *arguments],
            env={**os.environ, "PYTHONIOENCODING": "ascii", "STUDYKIT_DATA": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "26x26x26" in done.stdout
