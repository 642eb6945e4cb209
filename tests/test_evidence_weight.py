"""Evidence is light enough to travel: results/ and notebooks/ together, each picture, all of the checkout."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from studykit import home

MOST_OF_A_STUDY = 1_800_000  # on average, its runs' table and its executed notebooks included
MOST_OF_THE_TREE = 40_000_000
MOST_OF_A_PICTURE = 250_000
WIDEST = 1200
FOLDERS = ("notebooks", "results")


def tracked(*folders: str) -> list[Path]:
    """Files in folders that are committed or will be; a checkout without its history has none."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=home.home(), capture_output=True, text=True)
    paths = [home.home() / name for name in dict.fromkeys(listed.stdout.split("\0")) if name]
    return [path for path in paths if path.is_file()]


FILES = tracked(*FOLDERS)
pytestmark = pytest.mark.skipif(not FILES, reason="no git history here: what is committed is not known")


def pictures(path: Path) -> dict[str, bytes]:
    """A file that is a picture, or the pictures in the outputs of an executed notebook, by their cell."""
    if path.suffix in (".png", ".svg"):
        return {path.name: path.read_bytes()}
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.suffix == ".ipynb" else []
    return {
        f"{path.name}, cell {place}, output {number}": base64.b64decode(output["data"]["image/png"])
        for place, cell in enumerate(cells)
        for number, output in enumerate(cell.get("outputs", []))
        if "image/png" in output.get("data", {})
    }


def test_results_and_notebooks_together():
    weights = {path: path.stat().st_size for path in FILES}
    heaviest = "\n".join(f"{weights[path]:>9,}  {path}" for path in sorted(FILES, key=weights.get)[:-6:-1])
    studies = {
        path.parents[1] for path in FILES if path.name == "verdict.json" and path.parent.name == "laptop"
    }
    most = MOST_OF_A_STUDY * len(studies)
    assert sum(weights.values()) < most, f"{sum(weights.values()):,} bytes; the heaviest are\n{heaviest}"


def test_a_checkout():
    weight = sum(path.stat().st_size for path in tracked())
    assert weight < MOST_OF_THE_TREE, f"{weight:,} bytes"


def test_no_picture_is_heavier_or_wider_than_it_needs_to_be():
    found = {f"{path}: {name}": data for path in FILES for name, data in pictures(path).items()}
    heavy = {name: len(data) for name, data in found.items() if len(data) > MOST_OF_A_PICTURE}
    assert not heavy
    widths = {name: int.from_bytes(data[16:20], "big") for name, data in found.items() if data[1:4] == b"PNG"}
    assert widths and {name: width for name, width in widths.items() if width > WIDEST} == {}
