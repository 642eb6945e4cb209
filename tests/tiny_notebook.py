"""A notebook of three cells, the second of them its parameters, and what an executed one printed."""

import json
from pathlib import Path

import nbformat

PARAMETERS = """profile: str = "smoke"
seeds = [
    0,  # the first
    1,
]
label = "a = b # c"
data = None"""


IMPORTS = "import sys\nfrom pathlib import Path\nfrom studykit import home"


def write_notebook(path: Path, cell: str) -> Path:
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (IMPORTS, PARAMETERS, cell)]
    notebook.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, path)
    return path


def printed(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    texts = [
        output["text"] for cell in content["cells"] for output in cell.get("outputs", []) if "text" in output
    ]
    return "".join("".join(text) for text in texts)
