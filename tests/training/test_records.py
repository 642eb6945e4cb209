"""Metrics lines: appended, cut back, read in spite of a torn end."""

from pathlib import Path

import pytest

from studykit.training import records
from studykit.training.records import RecordWriter, last_record, read_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_written_records_come_back_and_are_flushed(path: Path) -> None:
    writer = RecordWriter(path)
    writer.write({"step": 0, "val/error": 0.5})
    writer.write({"step": 4, "val/error": float("nan"), "train/total": float("inf")})
    expected = [{"step": 0, "val/error": 0.5}, {"step": 4, "val/error": None, "train/total": None}]
    assert read_records(path) == expected
    writer.close()


def test_the_last_record_is_found_without_the_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_record(path) == {}
    path.write_text('{"torn')
    assert last_record(path) == {}
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(100)) + '{"torn')
    assert last_record(path) == {"step": 99}
    monkeypatch.setattr(records, "TAIL_BYTES", 30)
    assert last_record(path) == {"step": 99}


def test_resuming_cuts_back_to_the_checkpoint(path: Path) -> None:
    writer = RecordWriter(path)
    writer.write({"step": 0})
    offset = writer.sync()
    writer.write({"step": 4})
    writer.close()
    writer = RecordWriter(path, offset)
    writer.write({"step": 3})
    writer.close()
    assert read_records(path) == [{"step": 0}, {"step": 3}]


def test_starting_again_forgets_what_was_there(path: Path) -> None:
    path.write_text('{"step": 0}\n')
    RecordWriter(path).close()
    assert read_records(path) == []


def test_removed_records_are_noticed(path: Path) -> None:
    path.write_text('{"step": 0}\n')
    with pytest.raises(ValueError, match="12 bytes, but its checkpoint was written at 40"):
        RecordWriter(path, 40)


def test_torn_last_line_is_left_out(path: Path) -> None:
    path.write_text('{"step": 0}\n{"step": 4, "val/er')
    assert read_records(path) == [{"step": 0}]


@pytest.mark.parametrize("line", ["{oops", "[1, 2]"])
def test_damage_in_the_middle_is_named(path: Path, line: str) -> None:
    path.write_text(f'{{"step": 0}}\n{line}\n{{"step": 8}}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        read_records(path)


def test_no_file_is_no_records(path: Path) -> None:
    assert read_records(path) == []
