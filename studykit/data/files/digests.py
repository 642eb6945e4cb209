"""SHA-256 of files, remembered by size, times and inode so that a large folder is read only once."""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from studykit import atomic

SETTLE_SECONDS = 2.0


def file_sha256(path: str | Path, memory: str | Path | None = None) -> str:
    """Hex SHA-256 of a file's bytes.

    With ``memory`` (a folder), the digest is kept there under the file's absolute path and used again while
    its size, inode, modification and change time stay the same: a file that another one replaces keeps the
    first and may be given the third, but not the others. A file that was modified within the last two
    seconds is never remembered: a second write could leave the same times.
    """
    path = Path(path)
    if memory is None:
        return _digest(path)
    note = Path(memory) / f"{text_sha256(str(path.absolute()))[:32]}.json"
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    known = _read_note(note)
    if known is not None and known["stamp"] == stamp:
        return known["sha256"]
    digest = _digest(path)
    if time.time() - status.st_mtime > SETTLE_SECONDS:
        with suppress(OSError):  # a memory that cannot be written costs time only
            atomic.write_json(note, {"stamp": stamp, "sha256": digest})
    return digest


def text_sha256(text: str) -> str:
    """Hex SHA-256 of a text, a file's name with bytes that are no UTF-8 included."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_note(note: Path) -> dict | None:
    """The remembered digest; None where there is none, or where the note is not one of ours."""
    if not note.is_file():
        return None
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if not isinstance(known, dict) or not {"stamp", "sha256"} <= known.keys():
        return None
    return known
