"""An executed notebook as a page: its words, figures and tables to read, its code folded away.

A figure that the notebook saved is shown from the file beside it, so a page weighs little. What the outputs
hold as HTML is taken over as plain tables alone.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mistune

from studykit.report.html import render

SAVED = re.compile(r"""save_figure\(\s*[^"']*?["']([\w.-]+)["']""")
_TAGS = frozenset("table thead tbody tfoot tr th td caption p br b i em strong code".split())
_VOID = frozenset(["br"])

_markdown = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])


def page_name(notebook: str) -> str:
    """File of the page of a notebook, beside it.

    >>> page_name("01_speed.ipynb")
    '01_speed.html'
    """
    return f"{notebook.removesuffix('.ipynb')}.html"


def notebook_page(path: Path, up: str, claims: Sequence[tuple[str, str]]) -> str:
    """The page of the executed notebook at ``path``, to lie beside it.

    Args:
        path: of the notebook; figures that it saved are looked for in its folder.
        up: from there to ``results/``, such as ``../../``.
        claims: name and place below ``results/`` of each claim that it settles.

    Raises:
        ValueError: it is no notebook; the message names the file.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a notebook: {error}") from error
    shown = "\n".join(_cell(cell, path.parent, up) for cell in cells)
    title = re.search(r"<h1>(.*?)</h1>", shown)
    return render(
        "notebook.html",
        up=up,
        links=[(f"{up}index.html", "All claims"), *((f"{up}{place}", name) for name, place in claims)],
        title=unescape(re.sub("<[^>]+>", "", title[1])) if title else path.stem,
        file=path.name,
        cells=shown,
    )


def _cell(cell: dict[str, Any], folder: Path, up: str) -> str:
    """A cell; a link that leads from ``notebooks/`` to the evidence is turned to lead there from the page."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return words(source.replace("](../results/", f"]({up}"))
    if cell["cell_type"] != "code":
        return ""
    first = next(iter(source.splitlines()), "")
    code = f"<details><summary><code>{escape(first)}</code></summary><pre>{escape(source)}</pre></details>"
    figures = iter(SAVED.findall(source))
    return "\n".join([code, *(_output(output, figures, folder) for output in cell.get("outputs", []))])


def _output(output: dict[str, Any], figures: Iterator[str], folder: Path) -> str:
    """The richest form of an output that a page can show."""
    if "text" in output:
        return f"<pre>{escape(''.join(output['text']))}</pre>"
    data = {kind: "".join(own) for kind, own in output.get("data", {}).items() if isinstance(own, list | str)}
    if "image/png" in data:
        return _picture(data["image/png"], next(figures, None), folder)
    if "text/html" in data:
        return f'<div class="wide">{tables(data["text/html"])}</div>'
    if "text/markdown" in data:
        return words(data["text/markdown"])
    return f"<pre>{escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def _picture(encoded: str, name: str | None, folder: Path) -> str:
    if name is not None and (folder / f"{name}.svg").is_file():
        link = escape(f"{name}.svg")
        return f'<figure><a href="{link}"><img src="{link}" alt="{link}" loading="lazy"></a></figure>'
    source = "".join(encoded.split())
    return f'<figure><img src="data:image/png;base64,{source}" alt="figure"></figure>'


def words(markdown: str) -> str:
    """Markdown as HTML, formulas as far as letters go; what is HTML in it is shown as text.

    >>> words("A *loss* of $1-\\\\rho$.").strip()
    '<p>A <em>loss</em> of <span class="math">1−ρ</span>.</p>'
    """
    formulas: list[str] = []

    def kept(match: re.Match[str]) -> str:
        formulas.append(match[1])
        return f"\0{len(formulas) - 1}\0"

    text = _markdown(re.sub(r"\$([^$\n]+)\$", kept, markdown))
    text = re.sub("[\0\ufffd](\\d+)[\0\ufffd]", lambda match: _formula(formulas[int(match[1])]), text)
    return text.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


_SIGNS = {
    "mu": "μ", "sigma": "σ", "rho": "ρ", "delta": "δ", "lambda": "λ", "alpha": "α", "beta": "β", "theta": "θ",
    "sum": "∑", "cdot": "·", "times": "×", "approx": "≈", "leq": "≤", "geq": "≥", "infty": "∞", "exp": "exp",
    "ln": "ln ", "log": "log ",
}  # fmt: skip


def _formula(tex: str) -> str:
    """A short formula in letters: Greek, lower and upper indices; an unknown command stays as written."""
    text = escape(re.sub(r"\\(?:mathrm|text)\{([^}]*)\}", r"\1", tex).replace("-", "−"))
    text = re.sub(r"\\([a-zA-Z]+) ?", lambda match: _SIGNS.get(match[1], match[0]), text)
    for sign, tag in (("_", "sub"), (r"\^", "sup")):
        text = re.sub(rf"{sign}(?:\{{([^}}]*)\}}|(\w))", lambda m, t=tag: f"<{t}>{m[1] or m[2]}</{t}>", text)
    return f'<span class="math">{text}</span>'


def tables(html: str) -> str:
    """The tables and words of some HTML, without its styles, scripts, links and attributes but spans.

    >>> tables('<div><style>b</style><table border="1"><tr><th colspan="2">a</th></tr></table></div>')
    '<table><tr><th colspan="2">a</th></tr></table>'
    """
    reader = _Plain()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts).strip()


class _Plain(HTMLParser):
    """Keeps tags of tables, and words outside of styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        if tag in ("style", "script"):
            self.silent += 1
        elif tag in _TAGS:
            spans = [(name, number) for name, number in attrs if name in ("colspan", "rowspan")]
            kept = "".join(
                f' {name}="{int(number)}"' for name, number in spans if number and number.isdigit()
            )
            self.parts.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self.silent -= 1
        elif tag in _TAGS - _VOID:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(escape(re.sub(r"\s+", " ", data)) if data.strip() else "")
