"""Tiny volumes on disk, and a package index of our own that can be made to fail."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from studykit.data.refs import Subject, VolumeRef
from studykit.data.sources import Collection


def blob(shape: tuple[int, int, int] = (14, 12, 10), seed: int = 0) -> np.ndarray:
    """A noisy ellipsoid in air, different along every axis and direction."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    inside = (grid**2).sum(0) < 0.8
    ramp = 100 + 20 * grid[0] + 30 * grid[1] + 40 * grid[2]
    return (inside * (ramp + rng.normal(0, 2, shape))).astype(np.float32)


def affine(
    size: tuple[float, float, float] = (1.0, 1.0, 1.0), origin: tuple = (-5.0, -4.0, 3.0)
) -> np.ndarray:
    return nib.affines.from_matvec(np.diag(size), origin)


def save(path: Path, array: np.ndarray | None = None, matrix: np.ndarray | None = None) -> Path:
    """Write a NIfTI or MGH file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = blob() if array is None else array
    kind = nib.MGHImage if path.suffix in (".mgz", ".mgh") else nib.Nifti1Image
    nib.save(kind(array, affine() if matrix is None else matrix), path)
    return path


def itk_image(array: np.ndarray, matrix: np.ndarray) -> sitk.Image:
    """An (X, Y, Z) array on a RAS grid as SimpleITK sees it: LPS, (z, y, x)."""
    image = sitk.GetImageFromArray(array.T)
    lps = np.diag([-1, -1, 1, 1]) @ matrix
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(value) for value in sizes])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    return image


def save_series(folder: Path, array: np.ndarray, size: tuple = (1.0, 1.0, 2.0), **tags: str) -> Path:
    """Write an (X, Y, Z) array as an axial DICOM series whose file order is not its slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    header = {
        "0010|0020": tags.get("patient", "P1"),
        "0008|0060": tags.get("modality", "MR"),
        "0020|000e": tags.get("series", "1.2.826.0.1.3680043.2.1125.1"),
        "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
        "0020|0037": "1\\0\\0\\0\\1\\0",
    }
    count = array.shape[2]
    for index in range(count):
        image = sitk.GetImageFromArray(array[:, :, index].T.astype(np.int16))
        image.SetSpacing(size[:2])
        for key, value in header.items():
            image.SetMetaData(key, value)
        image.SetMetaData("0020|0032", f"-5\\-4\\{3 + index * size[2]}")
        image.SetMetaData("0018|0050", str(size[2]))
        image.SetMetaData("0020|0013", str(index))
        image.SetMetaData("0008|0018", f"{header['0020|000e']}.{index + 1}")
        writer.SetFileName(str(folder / f"{(count - index) * 7 % 100:03d}.dcm"))
        writer.Execute(image)
    return folder


@pytest.fixture
def collect(tmp_path: Path) -> Callable[..., Collection]:
    """Files as a collection of unknown modality, with its cache in the test's folder."""

    def make(*subjects: Subject | Path) -> Collection:
        entries = [
            s if isinstance(s, Subject) else Subject(s.name.split(".")[0], VolumeRef(s)) for s in subjects
        ]
        return Collection("test", tuple(entries), "", "", tmp_path / "cache")

    return make


class Index(http.server.ThreadingHTTPServer):
    """A simple index; ``cut`` ends the next transfer after so many bytes, ``hang`` then keeps it open."""

    files: dict[str, bytes]
    requests: list[tuple[str, str | None]]
    cut: int | None = None
    hang: bool = False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/simple/"):
            project = self.path.strip("/").split("/")[-1]
            mine = [file for file in self.server.files if file.startswith(project + "-")]
            self._answer(
                404 if not mine else 200, "".join(f'<a href="/f/{f}">{f}</a>' for f in mine).encode()
            )
        elif name in self.server.files:
            self._answer(200, self.server.files[name])
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if wanted else status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut if self.path.startswith("/f/") else None
        if self.command == "HEAD":
            return
        self.wfile.write(body[start : None if cut is None else start + cut])
        if cut is not None:
            self.wfile.flush()
            self.server.cut = None
            if self.server.hang:
                threading.Event().wait(30)
            self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index on this machine, which pip's configuration points to."""
    server = Index(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.files, server.requests = {}, []
    threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.05), daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    yield server
    server.shutdown()
    server.server_close()
