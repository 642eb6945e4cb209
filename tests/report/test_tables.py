import math

import pandas as pd
import pytest

from studykit.report.tables import LONGEST, escape_latex, markdown, write_table


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "arm": ["MAE_ViT", "BertsWin | 50 %"],
            "error": [0.1 + 0.2, 1 / 3],
            "steps": [198000, 34200],
            "ratio": [math.nan, math.inf],
            "done": [True, False],
        }
    )


def test_csv_keeps_every_digit(frame, tmp_path):
    path = write_table(frame, tmp_path, "t")["csv"]
    pd.testing.assert_frame_equal(pd.read_csv(path), frame, check_exact=True)


def test_markdown_rounds_aligns_and_escapes(frame, tmp_path):
    lines = (
        write_table(frame, tmp_path, "t", caption="Two arms.", digits=2)["md"]
        .read_text(encoding="utf-8")
        .splitlines()
    )
    assert lines == [
        "Two arms.",
        "",
        "| arm | error | steps | ratio | done |",
        "| --- | ---: | ---: | ---: | --- |",
        "| MAE_ViT | 0.30 | 198,000 | – | True |",
        r"| BertsWin \| 50 % | 0.33 | 34,200 | ∞ | False |",
    ]


def test_whole_numbers_stay_whole_beside_absent_ones():
    counts = pd.DataFrame({"n": pd.array([5, None], dtype="Int64"), "when": [pd.NaT, pd.NaT]})
    assert markdown(counts).splitlines()[2:] == ["| 5 | – |", "| – | – |"]


def test_latex_is_booktabs_and_escaped(frame, tmp_path):
    text = write_table(frame, tmp_path, "t", caption="50 % & more")["tex"].read_text(encoding="utf-8")
    assert r"\begin{tabular}{lrrrl}" in text
    assert r"\caption{50 \% \& more}" in text and r"\label{tab:t}" in text
    assert r"MAE\_ViT & 0.300 & 198,000 & -- & True \\" in text
    assert r"BertsWin \textbar{} 50 \% & 0.333 & 34,200 & $\infty$ & False \\" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_a_named_index_becomes_columns(tmp_path):
    frame = pd.DataFrame({"x": [1]}, index=pd.Index(["a"], name="arm"))
    assert write_table(frame, tmp_path, "t")["csv"].read_text(encoding="utf-8") == "arm,x\na,1\n"


def test_a_table_cannot_leave_its_folder(frame, tmp_path):
    with pytest.raises(ValueError, match="table's name"):
        write_table(frame, tmp_path, "../t")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("x_1^2 ~ 5 % & #3 $", r"x\_1\textasciicircum{}2 \textasciitilde{} 5 \% \& \#3 \$"),
        ("2.4 × 10⁻¹²", r"2.4 $\times$ 10$^{-12}$"),
        ("64³ ≤ ∞", r"64$^{3}$ $\leq$ $\infty$"),
        ("plain", "plain"),
    ],
)
def test_latex_escapes(text, escaped):
    assert escape_latex(text) == escaped


def test_a_table_that_nobody_reads_to_its_end_is_csv_alone(tmp_path):
    short, long = (pd.DataFrame({"x": range(rows)}) for rows in (LONGEST, LONGEST + 1))
    assert set(write_table(short, tmp_path, "t")) == {"csv", "md", "tex"}
    assert set(write_table(long, tmp_path, "t")) == {"csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]  # none that says what was
    assert len(pd.read_csv(tmp_path / "t.csv")) == LONGEST + 1


def test_markdown_is_rendered_by_a_notebook_and_plain_letters_elsewhere(frame):
    table = markdown(frame)
    assert table._repr_markdown_() == table and isinstance(table, str) and table.startswith("| arm |")
