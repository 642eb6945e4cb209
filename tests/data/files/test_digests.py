import hashlib
import os
import time

from studykit.data.files.digests import file_sha256


def age(path, seconds=60.0):
    stamp = time.time() - seconds
    os.utime(path, (stamp, stamp))


def test_digest_is_remembered_until_the_file_changes(tmp_path):
    file, memory = tmp_path / "file", tmp_path / "memory"
    file.write_bytes(b"one")
    age(file)
    assert file_sha256(file, memory) == hashlib.sha256(b"one").hexdigest()
    note = next(memory.iterdir())
    note.write_text(note.read_text(encoding="utf-8").replace(hashlib.sha256(b"one").hexdigest(), "f" * 64))
    assert file_sha256(file, memory) == "f" * 64, "the note is what is used"
    file.write_bytes(b"four")
    age(file, 30)
    assert file_sha256(file, memory) == hashlib.sha256(b"four").hexdigest()


def test_fresh_file_is_not_remembered(tmp_path):
    file, memory = tmp_path / "file", tmp_path / "memory"
    file.write_bytes(b"one")
    file_sha256(file, memory)
    assert not memory.exists()


def test_damaged_note_is_ignored(tmp_path):
    file, memory = tmp_path / "file", tmp_path / "memory"
    file.write_bytes(b"one")
    age(file)
    file_sha256(file, memory)
    for text in ("", "{", "[]", '{"stamp": 1}'):
        next(memory.iterdir()).write_text(text)
        assert file_sha256(file, memory) == hashlib.sha256(b"one").hexdigest()
