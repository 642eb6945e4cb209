"""An executed notebook as a page: to be read, light, and nothing in it that runs."""

import json

import pytest
from read_page import Page

from studykit.report.notebook_page import notebook_page, tables, words

FRAME = '<div><style scoped>b{}</style><table border="1"><tr><th colspan="2">a &lt; b</th></tr></table></div>'


def code(source, *outputs):
    return {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": list(outputs)}


def data(**kinds):
    return {"data": {kind.replace("_", "/"): text for kind, text in kinds.items()}}


@pytest.fixture
def page_of(tmp_path):
    def made(*cells):
        path = tmp_path / "01_speed.ipynb"
        path.write_text(json.dumps({"cells": list(cells)}), encoding="utf-8")
        text = notebook_page(path, "../../", [("steps", "claims/toy/steps.html")])
        return Page(text), text

    return made


def test_words_tables_and_folded_code_in_their_order(page_of):
    cells = [
        {"cell_type": "markdown", "source": ["# Is it <fast>?\n", "\n", "- *yes*"]},
        code("x = 1 < 2\nprint(x)", {"text": ["True\n"]}),
        code("frame", data(text_html=FRAME, text_plain="a b")),
        code("Markdown(card)", data(text_markdown="| a | b |\n|---|---|\n| 1 | 2 |")),
    ]
    page, text = page_of(*cells)
    assert "<title>Is it &lt;fast&gt;?</title>" in text and "<em>yes</em>" in text
    assert text.count("<details>") == 3 and "<code>x = 1 &lt; 2</code></summary>" in text
    assert text.index("<pre>True") < text.index('colspan="2">a &lt; b') < text.index("<td>2</td>")
    assert [a["href"] for a in page.all("a")][:2] == ["../../index.html", "../../claims/toy/steps.html"]
    assert [a["href"] for a in page.all("a") if "download" in a] == ["01_speed.ipynb"]
    assert page.all("link") == [{"rel": "stylesheet", "href": "../../claims/style.css"}]


def test_a_saved_figure_is_the_file_beside_it_and_another_is_in_the_page(page_of, tmp_path):
    (tmp_path / "curves.svg").touch()
    picture = data(image_png="iVBO\nRw==", text_plain="<Figure>")
    two = 'study.save_figure(figure, "curves", "Error.")\nplt.show()'
    page, _ = page_of(code(two, picture, picture), code('study.save_figure(f, "gone", "x")', picture))
    assert [a["src"][:26] for a in page.all("img")] == ["curves.svg", *["data:image/png;base64,iVBO"] * 2]
    assert all(a["alt"] for a in page.all("img"))


def test_a_link_to_the_evidence_leads_there_from_the_page_too(page_of):
    page, _ = page_of({"cell_type": "markdown", "source": ["[run](../results/speed/laptop/01_speed.ipynb)"]})
    assert "../../speed/laptop/01_speed.ipynb" in [a["href"] for a in page.all("a")]


def test_nothing_in_it_runs():
    assert tables("<table><tr><td onclick='x'>a<script>alert(1)</script></td></tr></table>") == (
        "<table><tr><td>a</td></tr></table>"
    )
    assert "<script>" not in words("a <script>alert(1)</script>\n\n<script>b</script>")
    assert "javascript:" not in words("[a](javascript:alert(1))")


def test_formulas_are_letters():
    said = words(r"Here $\mathrm{MSE} = (\mu_X-\mu_Y)^2$ and $1/\unknown$, for $5.")
    assert "MSE = (μ<sub>X</sub>−μ<sub>Y</sub>)<sup>2</sup>" in said
    assert r"1/\unknown" in said and "for $5." in said


@pytest.mark.parametrize("text", ["{", "[]", '{"nbformat": 4}'])
def test_what_is_no_notebook_is_named(tmp_path, text):
    path = tmp_path / "01_speed.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"01_speed\.ipynb is not a notebook"):
        notebook_page(path, "../../", [])
