"""Sphinx: the documentation of studykit. ``make docs`` builds it into ``build/docs``.

The root of the sources is the checkout, so that a link works on the site as it does in the repository:
how-to pages of docs/, the notebooks as they are committed, the evidence of results/, the notes of papers/.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sphinx.application import Sphinx

import studykit

project, author, release = "studykit", "studykit contributors", studykit.__version__
copyright = "studykit contributors, Apache licence 2.0"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "notebooks/[0-9]*.ipynb",
    "papers/*/NOTES.md",
    "results/SUMMARY.md",
    "results/*/*/[0-9]*.ipynb",
]
exclude_patterns = [
    "docs/templates",
    "docs/front",
    "**/smoke",
    "**/*-own",
    "results/runs",
    "results/batch",
    "build",
    ".*",
    "**/.*",
]
templates_path = [str(Path(__file__).parent / "templates")]

nb_execution_mode = "off"  # the outputs that are committed are the ones to read
nb_merge_streams = True
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath", "html_image"]
suppress_warnings = ["myst.header"]  # a notebook's card, printed by a cell, begins below its heading

autosummary_generate = True
autodoc_default_options = {"ignore-module-all": True}  # what is handed on is shown where it is made
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "studykit"
html_extra_path = ["front"]
html_copy_source = False
linkcheck_anchors = False


def indented_as_literal(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain text first: what they indent after an empty line is shown as it stands.

    The star of a shape such as (B, *size) begins no emphasis.
    """
    lines[:] = _with_literals(
        line if ">>> " in line else "``".join(_with_stars(line.split("``"))) for line in lines
    )


def _with_stars(parts: list[str]) -> Iterator[str]:
    """Every second part lies between double back-quotes, and is left alone."""
    for place, part in enumerate(parts):
        yield part if place % 2 else re.sub(r"(?<=[(, ])\*(?=\w+\))", r"\\*", part)


def _with_literals(lines: Iterable[str]) -> Iterator[str]:
    literal = directive = False
    before = ""
    for line in lines:
        indented = line.startswith(" ")
        if line and not indented:
            literal = False
            directive = line.rstrip().endswith("::") or bool(re.match(r"(\.\. |:\w|[-*] |\d+\. )", line))
        elif indented and not literal and not directive and not before.strip():
            yield from ("::", "")
            literal = True
        yield line
        before = line


LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)\)")


def links_to_files(app: Sphinx, name: str, source: list[str]) -> None:
    """A link to a Markdown file that is no page, such as a table of the evidence, gives the file itself.

    One to a folder, which a site cannot show, leaves its words alone. One to a page of the report stays as it
    is: :func:`report_beside_the_pages` brings it.
    """
    page = Path(app.env.doc2path(name))
    if page.suffix != ".md":
        return

    def kept(link: re.Match[str]) -> str:
        target = (page.parent / link[2]).resolve()
        if target.is_dir():
            return link[1]
        if target.suffix == ".html" and target.is_file():
            return f'<a href="{link[2]}">{link[1]}</a>'
        inside = target.is_relative_to(app.srcdir) and target.suffix == ".md"
        no_page = inside and app.env.path2doc(target) not in app.env.found_docs
        return f"[{link[1]}](path:{link[2]})" if no_page else link[0]

    source[:] = [LINK.sub(kept, text) for text in source]


def report_beside_the_pages(app: Sphinx, error: Exception | None) -> None:
    """The report and what it links to come along where they stand; a notebook's page is the site's own."""
    if error is not None or app.builder.name != "html":
        return
    report = Path(app.srcdir) / "results"
    unwritten = shutil.ignore_patterns("runs", "batch", "smoke", "*-own", ".*", "*.png", "*.ipynb")

    def missing(source: str, target: str) -> None:
        if not Path(target).exists():
            shutil.copyfile(source, target)

    shutil.copytree(
        report, Path(app.outdir) / "results", ignore=unwritten, copy_function=missing, dirs_exist_ok=True
    )


def setup(app: Sphinx) -> None:
    app.connect("build-finished", report_beside_the_pages)
    app.connect("source-read", links_to_files)
    app.connect("autodoc-process-docstring", indented_as_literal, priority=400)
