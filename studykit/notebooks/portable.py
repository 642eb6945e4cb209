"""An executed notebook as it is kept: light pictures, no times, no folders that say who ran it where."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from studykit import home


def portable(notebook: str, parameters: Mapping[str, Any]) -> str:
    """The notebook's JSON with light pictures, without times and folders, which say who ran it where."""
    from studykit.figures.light import light_base64

    content = json.loads(notebook)
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        for note in ("papermill", "execution"):
            cell["metadata"].pop(note, None)
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                data["image/png"] = light_base64("".join(data["image/png"]))
    content["cells"] = _without_folders(content["cells"], _folders(parameters))
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def relinked(notebook: str, source: Path, folder: Path) -> str:
    """The notebook's JSON with the relative links of its words leading on once it lies in another folder.

    Args:
        notebook: as JSON.
        source: the folder that its links start from.
        folder: where it will lie.
    """
    content = json.loads(notebook)

    def led(match: re.Match[str]) -> str:
        return f"]({Path(os.path.relpath(source / match[1], folder)).as_posix()}"

    for cell in content["cells"]:
        if cell.get("cell_type") == "markdown":
            lines = "".join(cell["source"])
            cell["source"] = _LINK.sub(led, lines).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


_LINK = re.compile(r"\]\((?![a-z]+:|[#/])([^)#\s]+)")
"""The relative place that a Markdown link leads to."""


def _folders(parameters: Mapping[str, Any]) -> list[tuple[re.Pattern[str], str]]:
    """Folders that an output may name, inner ones first, and what stands for each."""
    named = {home.results_dir(): "results", home.data_dir(): "data", Path(sys.prefix): "python"}
    named |= {home.home(): "studykit", Path(tempfile.gettempdir()): "temporary"}
    with suppress(RuntimeError):  # in a container a user may have no home
        named |= {Path.home(): "~"}
    own = Path(str(parameters.get("data", "")).partition(":")[2])
    named |= {own: own.name}
    known = sorted(
        (folder for folder in named if folder.is_absolute() and folder != Path(folder.anchor)),
        key=lambda folder: -len(folder.parts),
    )
    return [(re.compile(rf"(?<![\w.]){re.escape(str(folder))}(?![\w.-])"), named[folder]) for folder in known]


def _without_folders(value: Any, folders: Sequence[tuple[re.Pattern[str], str]]) -> Any:
    if isinstance(value, list):
        return [_without_folders(item, folders) for item in value]
    if isinstance(value, dict):
        pictures = ("image/png", "image/jpeg")
        return {k: v if k in pictures else _without_folders(v, folders) for k, v in value.items()}
    if isinstance(value, str):
        for folder, name in folders:
            value = folder.sub(name, value)
    return value
