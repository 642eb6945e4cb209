import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from studykit.data.files.archives import (
    Archive,
    ArchiveCorrupt,
    ArchiveUnavailable,
    fetch,
    fetch_all,
    read_members,
)


def wheel(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def publish(index, name="thing-1.0-py3-none-any.whl", data=None) -> Archive:
    data = wheel(a__one=b"1" * 300_000, a__two=b"22") if data is None else data
    index.files[name] = data
    return Archive(name, hashlib.sha256(data).hexdigest(), 1)


def transfers(index) -> list[str | None]:
    """The Range header of every transfer of a file."""
    return [wanted for path, wanted in index.requests if path.startswith("/f/")]


def test_fetch_downloads_once(index, tmp_path):
    archive = publish(index)
    path = fetch(archive, tmp_path)
    assert path == tmp_path / archive.filename
    assert path.read_bytes() == index.files[archive.filename]
    fetch(archive, tmp_path)
    assert transfers(index) == [None]


def test_broken_transfer_goes_on_where_it_stopped(index, tmp_path):
    archive = publish(index)
    index.cut = 100_000
    assert fetch(archive, tmp_path).read_bytes() == index.files[archive.filename]
    first, second = transfers(index)
    assert first is None and second is not None and second.startswith("bytes=")


def test_killed_download_leaves_no_archive_and_is_resumed(index, tmp_path):
    archive = publish(index)
    index.cut, index.hang = 200_000, True
    program = (
        "from pathlib import Path; from studykit.data.files.archives import Archive, fetch\n"
        f"fetch(Archive({archive.filename!r}, {archive.sha256!r}, 1), Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], env=os.environ)
    part = tmp_path / f".{archive.filename}.part"
    deadline = time.monotonic() + 30
    while (not part.exists() or part.stat().st_size < 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / archive.filename).exists()
    have = part.stat().st_size
    assert 100_000 <= have < len(index.files[archive.filename])
    assert fetch(archive, tmp_path).read_bytes() == index.files[archive.filename]
    assert transfers(index)[-1] == f"bytes={have}-"
    assert not part.exists()


def test_part_of_another_file_is_fetched_anew(index, tmp_path):
    archive = publish(index)
    (tmp_path / f".{archive.filename}.part").write_bytes(b"something else")
    assert fetch(archive, tmp_path).read_bytes() == index.files[archive.filename]


def test_part_longer_than_the_file_is_fetched_anew(index, tmp_path):
    archive = publish(index)
    (tmp_path / f".{archive.filename}.part").write_bytes(b"x" * 400_000)
    assert fetch(archive, tmp_path).read_bytes() == index.files[archive.filename]


def test_wrong_digest_is_named_and_removed(index, tmp_path):
    archive = publish(index)
    wrong = Archive(archive.filename, "0" * 64, 1)
    with pytest.raises(ArchiveCorrupt) as error:
        fetch(wrong, tmp_path)
    assert archive.sha256 in str(error.value) and "0" * 64 in str(error.value)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_damaged_copy_in_the_cache_is_named_and_removed(index, tmp_path):
    archive = publish(index)
    path = fetch(archive, tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArchiveCorrupt, match=archive.filename):
        fetch(archive, tmp_path)
    assert not path.exists()
    assert fetch(archive, tmp_path).read_bytes() == index.files[archive.filename]


def test_without_network_all_missing_archives_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple/")
    wanted = [Archive("one-1.0.tar.gz", "1" * 64, 5), Archive("two-2.0.tar.gz", "2" * 64, 6)]
    with pytest.raises(ArchiveUnavailable) as error:
        fetch_all(wanted, tmp_path)
    message = str(error.value)
    for part in ("one-1.0.tar.gz", "1" * 64, "two-2.0.tar.gz", "2" * 64, str(tmp_path)):
        assert part in message
    assert "secret" not in message


def test_an_index_that_does_not_answer_is_asked_once(tmp_path, monkeypatch):
    from studykit.data.files import archives

    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    asked, download = [], archives._download
    monkeypatch.setattr(archives, "_download", lambda a, p: asked.append(a.filename) or download(a, p))
    with pytest.raises(ArchiveUnavailable, match=r"two-2\.0"):
        fetch_all([Archive("one-1.0.tar.gz", "1" * 64, 5), Archive("two-2.0.tar.gz", "2" * 64, 6)], tmp_path)
    assert asked == ["one-1.0.tar.gz"]


def test_a_transfer_that_always_breaks_is_said(index, tmp_path, monkeypatch):
    from studykit.data.files import archives

    archive = publish(index)
    monkeypatch.setattr(archives, "ATTEMPTS", 1)
    index.cut = 1000
    with pytest.raises(ArchiveUnavailable, match="broke 1 times"):
        fetch(archive, tmp_path)


def test_archive_placed_by_hand_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    data = wheel(a=b"1")
    (tmp_path / "hand-1.0.whl").write_bytes(data)
    assert fetch(Archive("hand-1.0.whl", hashlib.sha256(data).hexdigest(), 1), tmp_path).exists()


@pytest.mark.parametrize("name", ["unknown-1.0.whl", "thing-9.9.whl"])
def test_what_the_index_does_not_have_is_said(index, tmp_path, name):
    publish(index)
    with pytest.raises(ArchiveUnavailable, match=r"has no project|does not list this file"):
        fetch(Archive(name, "0" * 64, 1), tmp_path)


def test_two_processes_fetch_once(index, tmp_path):
    archive = publish(index)
    program = (
        "from pathlib import Path; from studykit.data.files.archives import Archive, fetch\n"
        f"fetch(Archive({archive.filename!r}, {archive.sha256!r}, 1), Path({str(tmp_path)!r}))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], env=os.environ) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(transfers(index)) == 1


def test_members_come_in_the_order_asked_from_zip_and_tar(tmp_path):
    members = {"a/one": b"1", "a/two": b"22"}
    zipped, tarred = tmp_path / "x.whl", tmp_path / "x.tar.gz"
    zipped.write_bytes(wheel(a__one=b"1", a__two=b"22"))
    with tarfile.open(tarred, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    for path in (zipped, tarred):
        assert list(read_members(path, ["a/two", "a/one"]).items()) == [("a/two", b"22"), ("a/one", b"1")]
        with pytest.raises(KeyError, match="a/three"):
            read_members(path, ["a/three"])


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\..\\out"])
def test_member_names_that_leave_the_archive_are_refused(tmp_path, name):
    path = tmp_path / "x.whl"
    path.write_bytes(wheel(a=b"1"))
    with pytest.raises(ValueError, match="leaves the archive"):
        read_members(path, [name])


def test_a_link_in_a_tar_is_not_followed(tmp_path):
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(entry)
    with pytest.raises(KeyError, match="link"):
        read_members(path, ["link"])


def test_certificates_of_pip_are_used_where_requests_has_none(monkeypatch):
    from studykit.data.files import archives

    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple/")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("PIP_CERT", "/certificates.pem")
    assert archives._index() == ("https://mirror.example/simple/", "/certificates.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/bundle.pem")
    assert archives._index() == ("https://mirror.example/simple/", None)


def test_importing_sources_needs_no_heavy_package():
    program = (
        "import sys, studykit.data.sources as s; s.list_sources(); "
        "heavy = ('torch', 'monai', 'pandas', 'requests', 'nibabel', 'SimpleITK', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
