"""The metrics of a run: a JSON object a line, appended as training goes, cut back on resume."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
TAIL_BYTES = 1 << 14
"""More than any record takes."""


class RecordWriter:
    """Appends records to ``path``, after cutting it to the ``offset`` bytes that the resumed checkpoint knew.

    Raises:
        ValueError: the file is shorter than ``offset``, so records of the resumed part are gone.
    """

    def __init__(self, path: str | Path, offset: int = 0) -> None:
        self._file = open(path, "ab")
        size = self._file.tell()
        if size < offset:
            self._file.close()
            raise ValueError(
                f"{path} holds {size} bytes, but its checkpoint was written at {offset}: "
                "records were removed. Remove the checkpoint too, to start this run again."
            )
        self._file.truncate(offset)
        self._file.seek(offset)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one line and flush it; a value that is not finite is written as null."""
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in record.items()
        }
        self._file.write(json.dumps(finite, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Bring the file to the disk; returns its size in bytes, the offset of a checkpoint."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def last_record(path: str | Path) -> dict[str, Any]:
    """The last whole record of ``path``, empty where there is none; what comes before it is not looked at."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL_BYTES, 0))
            *whole, _torn = file.read().rsplit(b"\n", 2)
    except FileNotFoundError:
        return {}
    return json.loads(whole[-1]) if whole else {}


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Records of ``path``, none if there is no such file; a torn last line (a writer was killed) is left out.

    Raises:
        ValueError: a line before the last is no JSON object.
    """
    path = Path(path)
    if not path.exists():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path}, line {number} is {type(record).__name__}, not an object")
        records.append(record)
    return records
