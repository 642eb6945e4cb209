"""Pages of the report from the templates beside this file, which make words from files safe."""

import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

TEMPLATES = Path(__file__).with_name("templates")
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")

SIGNS = {
    "reproduced": "✓",
    "partially reproduced": "◐",
    "not reproduced": "✗",
    "underpowered": "?",
    "uninformative": "–",
    "not evaluated": "·",
}
"""A sign before each verdict, so that colour never carries it alone."""


def render(template: str, **values: Any) -> str:
    """A whole page of the template in ``templates/``; every text is escaped but what the template calls safe.

    Raises:
        jinja2.UndefinedError: a value that the template needs is not given.
    """
    return _templates().get_template(template).render(**values)


def inline(markdown: str) -> str:
    """A sentence of Markdown, of which links and code are known; all else is text."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
    return re.sub(r"\[([^\]]+)\]\(([^)\s\"]+)\)", r'<a href="\2">\1</a>', text)


@cache
def _templates() -> Environment:
    """Templates in which a name that nobody gave is an error, and a tag's own line leaves none behind."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["inline"] = inline
    made.globals["signs"] = SIGNS
    return made
