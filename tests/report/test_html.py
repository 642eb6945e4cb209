"""Templates of the report: text is made safe, a name that is missing is said, and Markdown is little."""

import pytest
from jinja2 import UndefinedError

from studykit.report.html import SIGNS, STYLE, TEMPLATES, inline, render

NOTEBOOK = {
    "up": "../../",
    "links": [("a.html?b&c", "<all>")],
    "title": "1 < 2",
    "file": 'a".ipynb',
    "cells": "",
}


def test_text_is_escaped_and_only_what_a_template_calls_safe_is_not():
    text = render("notebook.html", **NOTEBOOK | {"cells": "<p>said</p>"})
    assert "<title>1 &lt; 2</title>" in text and '<a href="a.html?b&amp;c">&lt;all&gt;</a>' in text
    assert 'href="a&#34;.ipynb"' in text and "\n<p>said</p>\n" in text


def test_a_value_that_is_not_given_is_an_error_and_no_gap_in_a_page():
    with pytest.raises(UndefinedError, match="'file' is undefined"):
        render("notebook.html", **{name: value for name, value in NOTEBOOK.items() if name != "file"})


def test_links_and_code_of_a_sentence_are_known_and_all_else_is_text():
    assert inline("`a<b` of [it](x.html), <i>") == '<code>a&lt;b</code> of <a href="x.html">it</a>, &lt;i&gt;'


def test_every_verdict_has_a_sign_and_all_but_the_open_ones_a_colour():
    assert all(f".{status.replace(' ', '-')}" in STYLE for status in SIGNS)


def test_every_template_is_of_use():
    used = {"index.html", "claim.html", "notebook.html"}
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir())
    assert [p.name for p in TEMPLATES.iterdir() if p.name not in used and f'"{p.name}"' not in text] == []
