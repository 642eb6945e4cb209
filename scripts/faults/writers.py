"""Further writers on a full disk: figures, notebooks, downloads, the site, bundles, a fine-tuned network."""

import hashlib
import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from children import run
from tiny_labelled import write_labelled_heads
from tiny_notebook import write_notebook
from trainings import Toy

from studykit.bundle import pack
from studykit.claims.paper import load_papers
from studykit.data.files.archives import Archive, fetch
from studykit.figures.style import save_figure
from studykit.finetuning import FinetuningPlan, finetune
from studykit.home import results_dir
from studykit.notebooks import run_notebook
from studykit.report.answer import load_answers
from studykit.report.record import FILE
from studykit.report.site import write_summary

KEPT = "ballast"
"""What takes the space of a disk."""
PRINTED = 200_000
"""Letters that the notebook prints."""
PAGE = 4096
"""Bytes that a tmpfs hands out at a time."""
ARCHIVE = "heads-1.0-py3-none-any.whl"
PART = f".{ARCHIVE}.part"
"""What a broken transfer leaves to go on from; nothing reads it."""
NETWORK = {"model": "wave-unet", "model_options": {"widths": [8, 16, 16], "depth": 1, "head_dim": 8}}
TRAINING = {"spacing_mm": 4.0, "crop_size": 32, "steps": 1, "batch_size": 2}


def fill(disk: Path, leave: int) -> None:
    """All of a disk but ``leave`` bytes."""
    facts = os.statvfs(disk)
    (disk / KEPT).write_bytes(b"\0" * max(facts.f_bavail * facts.f_frsize - leave, 0))


def files_of(folder: Path) -> dict[str, bytes]:
    """Contents by path below ``folder``, but for ballast, locks, and what failed notebooks leave to read."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): _content(path)
        for path in paths
        if path.name not in (KEPT, PART) and path.suffix != ".lock" and "batch" not in path.parts
    }


def _content(path: Path) -> bytes:
    """All bytes; those of whole weights with their header in order, which the library writes in any."""
    content = path.read_bytes()
    try:
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end]) if path.suffix == ".safetensors" else None
    except ValueError:
        return content
    return content if header is None else json.dumps(header, sort_keys=True).encode() + content[end:]


def rewritten(disk: Path, write: Callable[[Path], object], first: Callable[[Path], object] | None,
              chance: random.Random, spare: Path) -> str:  # fmt: skip
    """What is wrong once ``write`` has found no space: each file has to be as before or as written elsewhere.

    Args:
        write: into a folder; what it gives, if anything, says why it failed.
        first: what was written before, if anything.
        spare: a folder with space, into which the same is written to know how it should be.
    """
    for folder in (disk, spare):
        folder.mkdir(exist_ok=True)
        if first is not None and (said := run(partial(first, folder), limit=120)).error:
            return f"it could not be begun: {said.error}"
    before = files_of(disk)
    end = run(partial(write, spare), limit=120)
    if end.error or end.value:
        return f"it could not be written where there is space: {end.error or end.value}"
    whole = files_of(spare)
    pages = sorted((-(-len(text) // PAGE) for name, text in whole.items() if before.get(name) != text))
    # Files that are new fill the disk one after another; one that is replaced frees its own space again.
    largest = pages.pop() if before else pages.pop(chance.randrange(len(pages)))
    others = 0 if before else sum(count for count in pages if count >= largest)
    fill(disk, PAGE * (others + chance.randrange(largest)))
    end = run(partial(write, disk), limit=120)
    (disk / KEPT).unlink()
    if not end.error and not end.value:
        return "it found space where there was none"
    after = files_of(disk)
    gone = before.keys() - after.keys()
    broken = gone | {name for name, text in after.items() if text not in (before.get(name), whole.get(name))}
    if broken:
        return f"neither as before nor as it should be: {', '.join(sorted(broken))}"
    end = run(partial(write, disk), limit=120)
    if end.error or end.value:
        return f"with space it did not go on: {end.error or end.value}"
    return "" if files_of(disk) == whole else "with space it ended in other files"


def figures(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    def draw(points: int, folder: Path) -> None:
        import matplotlib.pyplot as plt

        fig, ax = plt.subplots()
        ax.plot([(point * 7919) % 101 for point in range(points)])
        save_figure(fig, folder, "figure")

    return rewritten(disk, partial(draw, 4000), partial(draw, 20), chance, _spare(disk))


def notebook(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    checkout = disk.with_name(f"{disk.name}-checkout")
    for name in ("papers", "notebooks"):
        (checkout / name).mkdir(parents=True, exist_ok=True)
    for letter in "ab":  # written once: each writing draws other names for cells
        write_notebook(checkout / f"{letter}.ipynb", f"print({letter!r} * {PRINTED})")

    def execute(letter: str, results: Path) -> str:
        shutil.copy(checkout / f"{letter}.ipynb", checkout / "notebooks" / "01_good.ipynb")
        os.environ.update({"STUDYKIT_HOME": str(checkout), "STUDYKIT_RESULTS": str(results)})
        return run_notebook("01_good", {}).error

    return rewritten(disk, partial(execute, "b"), partial(execute, "a"), chance, _spare(disk))


def archive(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    place = disk.with_name(f"{disk.name}-index")
    page = place / "simple" / "heads"
    page.mkdir(parents=True)
    content = chance.randbytes(400_000)
    (page / ARCHIVE).write_bytes(content)
    (page / "index.html").write_text(f'<a href="{ARCHIVE}">{ARCHIVE}</a>')
    wanted = Archive(ARCHIVE, hashlib.sha256(content).hexdigest(), len(content))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(place)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def bring(folder: Path) -> None:
        os.environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_port}/simple/"
        fetch(wanted, folder / "archives")

    try:
        return rewritten(disk, bring, None, chance, _spare(disk))
    finally:
        server.shutdown()
        server.server_close()


def site(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    source = next(iter(sorted(results_dir().glob(f"*/laptop/{FILE}")))).parent

    def first(folder: Path) -> None:
        shutil.copytree(source, folder / source.parent.name / source.name)
        write_summary(folder, load_papers(), {})

    def write(folder: Path) -> None:
        write_summary(folder, load_papers(), load_answers())

    return rewritten(disk, write, first, chance, _spare(disk))


def bundle(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    """The disk is too small for a bundle anyhow: what was there has to stand, and nothing else be left."""
    out = disk / "bundle.tar.gz"
    out.write_bytes(b"an earlier bundle")
    fill(disk, chance.randrange(0, 1_000_000))

    def write() -> None:
        pack.missing_wheels, pack.fetch_wheels = (lambda *_: []), (lambda *_: [])
        pack.volumes_of, pack.carry = (lambda *_: []), (lambda *_: 0.0)
        pack.bundle(
            out, ["bertswin-convergence"], profile="smoke", minutes=9.0, python="3.12", platform="any",
            has=("torch",), limit_mb=64.0,
        )  # fmt: skip

    said = run(write, limit=120).error
    found = files_of(disk)
    stands = found == {out.name: b"an earlier bundle"}
    return "" if "No space left" in said and stands else f"said {said!r}, left {sorted(found)}"


def finetuned(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    """Weights, split, scores and card, of a training that is done."""
    labelled = toy.folder / "labelled"
    if not labelled.exists():
        write_labelled_heads(labelled)
    plan = FinetuningPlan(data=f"folder:{labelled}", **NETWORK, **TRAINING)

    def write(folder: Path) -> None:
        finetune(plan, folder / "own")

    return rewritten(disk, write, None, chance, _spare(disk))


def _spare(disk: Path) -> Path:
    return disk.with_name(f"{disk.name}-spare")
