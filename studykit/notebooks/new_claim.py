"""A claim to begin with: its entry in a paper, a notebook that runs, and a test of what its rule says.

What is written compares two networks by the error they end at, and is meant to be changed: the sentence, the
rule and the arms are places to fill, in working order from the start.
"""

import json
import re
from pathlib import Path

from studykit import atomic, home
from studykit.claims.paper import load_papers
from studykit.claims.paper_file import read_paper
from studykit.notebooks.catalogue import notebooks, study_of

SUMMARY = 99
"""Number of the notebook that all others come before."""

PAPER = """\
# Claims of {paper} and the rules that settle them, written before any run.
# Sources read: say here what you had, and what you had not.

title = "{paper}"
authors = ["unknown"]
year = 2026
sources = ["abstract"]
"""

NOTES = """\
# {paper}: the paper, its released code, and ours

What of it was read, what it leaves open, and what we chose instead.
"""

CLAIM = '''
[[claims]]
id = "{id}"
sentence = "What the paper asserts, in one sentence."
study = "{id}"
notebook = "{stem}"
figure = "curves"
unknown = ["What the source leaves open, and has to be chosen."]
[claims.rule]
kind = "effect"
metric = """\\
    Held-out error of the baseline at the end of training over that of the new arm; paired by seed"""
direction = "higher"
scale = "ratio"
null = 1.0
least_effect = 1.05
repetitions = 5
units = "seeds"
family = "effects"
[[claims.rule.gates]]
name = "the baseline paints hidden patches better than interpolation from the visible ones does"
above = 0.0
[[claims.rule.sensitivity]]
name = "the best error along the way"
varies = "definition"
[[claims.readings]]
of = "estimate"
table = "ratio.csv"
value = "ratio"
where = {{ pair = "baseline over new" }}
scale = "ratio"
[[claims.readings]]
of = "the best error along the way"
table = "ratio.csv"
value = "ratio"
where = {{ pair = "baseline over new, best" }}
scale = "ratio"
[[claims.readings]]
of = "the baseline paints hidden patches better than interpolation from the visible ones does"
table = "gates.csv"
value = "value"
where = {{ gate = "lead over interpolation" }}
scale = "difference"
'''

TEST = '''\
"""The rule of {key} says what was meant: which way a result turns it."""

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import find_claim
from studykit.claims.verdict import judge

CLAIM = find_claim("{key}")
GATES = {{gate.name: Estimate(0.1, 0.05, 0.15, 5, "reduced-scale") for gate in CLAIM.rule.gates}}


@pytest.mark.parametrize(
    ("value", "low", "high", "finding"),
    [
        (1.3, 1.2, 1.4, "supported"),
        (0.8, 0.7, 0.9, "opposite"),
        (1.0, 0.99, 1.01, "equivalent"),
        (1.0, 0.5, 2.0, "underpowered"),
    ],
)
def test_the_rule_turns_with_the_interval(value, low, high, finding):
    estimate = Estimate(value, low, high, 5, "reduced-scale", unit="×")
    assert judge(CLAIM, estimate, profile="laptop", beside=GATES).finding == finding


def test_without_its_gates_it_cannot_answer():
    failed = {{name: Estimate(-0.1, -0.2, -0.05, 5, "reduced-scale") for name in GATES}}
    estimate = Estimate(1.3, 1.2, 1.4, 5, "reduced-scale", unit="×")
    assert judge(CLAIM, estimate, profile="laptop", beside=failed).finding == "uninformative"
'''


def write_claim(key: str) -> tuple[Path, Path, Path]:
    """Write claim ``paper/id``: into its paper, which is made where it is new, a notebook and a test.

    The study bears the claim's name. Gives the three files.

    Raises:
        ValueError: a name that is no pair of lower-case words joined by ``-``, one that is taken, or a paper
            that cannot be read; nothing is written then.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*", key):
        raise ValueError(f"a claim is named PAPER/CLAIM, each of lower-case words joined by '-'; got {key!r}")
    paper, _, id = key.partition("/")
    papers = load_papers()
    taken = {claim.study for found in papers.values() for claim in found.claims} | set(
        map(study_of, notebooks())
    )
    if id in taken:
        raise ValueError(f"there is a study {id!r} already; known: {', '.join(sorted(taken))}")
    file = home.papers_dir() / paper / "paper.toml"
    text = file.read_text(encoding="utf-8") if file.is_file() else PAPER.format(paper=paper)
    if file.is_file() and id in {claim.id for claim in read_paper(file).claims}:
        raise ValueError(f"{file} has a claim {id!r} already")
    numbers = {int(stem[:2]) for stem in notebooks()}
    number = max(numbers - {SUMMARY}, default=0) + 1
    if number >= SUMMARY:
        raise ValueError(f"all numbers below {SUMMARY} are taken in {home.notebooks_dir()}")
    stem = f"{number:02d}_{id.replace('-', '_')}"
    notebook = home.notebooks_dir() / f"{stem}.ipynb"
    test = home.home() / "tests" / "studies" / id.replace("-", "_") / "test_rule.py"
    notes = () if file.is_file() else ((file.with_name("NOTES.md"), NOTES.format(paper=paper)),)
    for path, content in (
        *notes,
        (file, text.rstrip() + "\n" + CLAIM.format(id=id, stem=stem)),
        (notebook, _notebook(key, id)),
        (test, TEST.format(key=key)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, content)
    return file, notebook, test


def _notebook(key: str, study: str) -> str:
    cells = [
        _cell(place, source.replace("KEY", key).replace("STUDY", study), tags)
        for place, (source, tags) in enumerate(_cells())
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cells() -> list[tuple[str, list[str]]]:
    """Source of each cell of the template, and its kind with its tags."""
    text = Path(__file__).with_name("new_claim.txt").read_text(encoding="utf-8")
    blocks = (block.partition("\n") for block in text.split("%% ")[1:])
    return [(source.strip("\n"), [*kind.split()]) for kind, _, source in blocks]


def _cell(place: int, source: str, kinds: list[str]) -> dict:
    kind, *tags = kinds
    cell = {"cell_type": kind, "id": f"{place:02d}-new", "metadata": {"tags": tags}}
    cell["source"] = source.splitlines(keepends=True)
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
