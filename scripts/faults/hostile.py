"""Archives, checkpoints and parameters that were made to do harm: nothing gets out, nothing is run."""

import ast
import io
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import torch
from children import run
from table import Row
from trainings import Toy

from studykit.bundle.unpack import unbundle
from studykit.data.files.archives import read_members
from studykit.notebooks import check_parameters
from studykit.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint, load_weights

MEMBERS = ("../escaped", "/tmp/escaped", "a/../../escaped", "..\\escaped")
TEXTS = (
    "'); import os; os.system('touch {}') #",
    '"""\nimport os\nos.system("touch {}")\n"""',
    "{{x}}\n%run {}",
    "\\'; __import__('os').system('touch {}')",
    "!touch {}",
)


def rows(toy: Toy, chance: random.Random, share: float) -> Iterator[Row]:
    folder = toy.folder / "hostile"
    folder.mkdir()
    yield archives(folder)
    yield checkpoints(toy, folder)
    yield parameters(folder)


def archives(folder: Path) -> Row:
    """Read by name, and given to unbundle."""
    row = Row("archives that lead out of themselves, links, bombs", "refused, and no file outside")
    made = [*(_tar(folder, name) for name in MEMBERS), *(_zip(folder, name) for name in MEMBERS)]
    made += [_link(folder, kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)]
    for path, name in made:
        end = run(lambda path=path, name=name: read_members(path, [name]), limit=30, most_gb=4)
        row.count(_outside(folder, "" if end.error else f"{name} was read from {path.name}"))
        end = run(lambda path=path: unbundle(path), limit=30, most_gb=4)
        row.count(_outside(folder, "" if end.error else f"{path.name} was taken in"))
    bomb = folder / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", compresslevel=9) as archive:
        entry = tarfile.TarInfo("results/runs/0/config.json")
        entry.size = 2**31
        archive.addfile(entry, _Zeros(entry.size))
    end = run(lambda: unbundle(bomb), limit=60, most_gb=4)
    loss = "" if end.error and end.megabytes < 1024 else f"{end.megabytes:,.0f} MB, {end.error or 'taken in'}"
    row.count(_outside(folder, loss))
    row.seen = f"the bomb of 2 GiB took {end.megabytes:,.0f} MB and {end.seconds:.1f} s"
    return row


class _Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, count: int = -1) -> bytes:
        count = self._left if count < 0 else min(count, self._left)
        self._left -= count
        return bytes(count)


def _outside(folder: Path, loss: str) -> str:
    found = [p for p in (folder.parent / "escaped", Path("/tmp/escaped"), folder / "ran") if p.exists()]
    return f"{found[0]} was written" if found else loss


def _tar(folder: Path, name: str) -> tuple[Path, str]:
    path = folder / f"{len(list(folder.iterdir()))}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    return path, name


def _zip(folder: Path, name: str) -> tuple[Path, str]:
    path = folder / f"{len(list(folder.iterdir()))}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "evil")
    return path, name


def _link(folder: Path, kind: bytes) -> tuple[Path, str]:
    path = folder / f"{len(list(folder.iterdir()))}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("results/link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    return path, "results/link"


class _Harm:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self._path}'",)


def checkpoints(toy: Toy, folder: Path) -> Row:
    """Pickles in place of a checkpoint, and one of a finished run with another inside."""
    row = Row("checkpoints that hold code, or are damaged", "refused by name, nothing is run")
    mark, path = folder / "ran", folder / CHECKPOINT
    whole = (toy.run_in(toy.folder / "reference").folder / CHECKPOINT).read_bytes()
    own = {"format": 1, "configuration": {}, "state": {"step": _Harm(mark)}}
    for legacy in (False, True):
        torch.save(own, path, _use_new_zipfile_serialization=not legacy)
        row.count(_refused(path, mark))
    for content in (pickle.dumps(_Harm(mark)), b"", b"PK\3\4", whole[: len(whole) // 2], whole[:-9]):
        path.write_bytes(content)
        row.count(_refused(path, mark))
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, pickle.dumps(_Harm(mark)) if name.endswith(".pkl") else source.read(name))
    row.count(_refused(path, mark))
    for content in (pickle.dumps(_Harm(mark)), (2**60).to_bytes(8, "little") + b"{}", b"\0" * 8):
        weights = folder / "weights.safetensors"
        weights.write_bytes(content)
        end = run(lambda weights=weights: load_weights(weights), limit=30, most_gb=4)
        row.count("" if "CheckpointError" in end.error and not mark.exists() else f"weights: {end.error}")
    return row


def _refused(path: Path, mark: Path) -> str:
    def load() -> str:
        try:
            load_checkpoint(path, {})
        except CheckpointError as error:
            return str(error)
        return ""

    end = run(load, limit=30)
    if mark.exists():
        mark.unlink()
        return "its code was run"
    return "" if end.value and str(path) in end.value else f"not refused: {end.error or end.value}"


def parameters(folder: Path) -> Row:
    """Names and values that would be code, were they pasted into the notebook."""
    from papermill.parameterize import parameterize_notebook

    row = Row("parameters that would be code", "a name is refused, a value stays text")
    cell = nbformat.v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]})
    for text in TEXTS:
        value = text.replace("{}", str(folder / "ran"))
        try:
            check_parameters("01_bertswin_convergence", {f"seeds = 1\n{value}": 1})
            row.count("a name was taken")
        except ValueError:
            row.count("")
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        metadata = nbformat.from_dict({"kernelspec": kernel, "papermill": {}})
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
        done = parameterize_notebook(notebook, {"data": value, "seeds": [value]})
        lines = ast.parse(done.cells[-1].source).body
        kept = {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in lines}
        row.count("" if kept == {"data": value, "seeds": [value]} else f"it became {done.cells[-1].source!r}")
    return row
