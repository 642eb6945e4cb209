"""A claim to begin with: well-formed from the start, beside what there is, and taken up by every verb."""

import ast
import json

import pytest

from studykit.claims.paper import find_claim, load_papers
from studykit.cli import main
from studykit.notebooks import notebook_of, parameters_of
from studykit.notebooks.new_claim import write_claim


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "papers").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "99_summary.ipynb").write_text('{"cells": []}')
    monkeypatch.setenv("STUDYKIT_HOME", str(tmp_path))
    monkeypatch.delenv("STUDYKIT_RESULTS", raising=False)
    return tmp_path


def test_a_claim_of_a_new_paper_is_read_back_and_its_notebook_is_found(checkout):
    file, notebook, test = write_claim("my-paper/much-faster")
    assert file == checkout / "papers" / "my-paper" / "paper.toml"
    assert notebook.name == "01_much_faster.ipynb" and test.parent.name == "much_faster"
    claim = find_claim("my-paper/much-faster")
    assert (claim.study, claim.notebook, claim.figure) == ("much-faster", "01_much_faster", "curves")
    beside = {entry.name for entry in (*claim.rule.gates, *claim.rule.sensitivity)}
    assert claim.rule.gates and {reading.of for reading in claim.readings} == {"estimate", *beside}
    assert file.with_name("NOTES.md").is_file()
    assert notebook_of("much-faster") == "01_much_faster"
    assert parameters_of("much-faster") == {
        "profile": "'smoke'",
        "seeds": "None",
        "data": "None",
        "nproc": "1",
    }


def test_a_second_claim_joins_the_first_and_changes_nothing_of_it(checkout):
    first, _, _ = write_claim("my-paper/faster")
    before = first.read_text(encoding="utf-8")
    second, notebook, _ = write_claim("my-paper/better")
    assert second == first and first.read_text(encoding="utf-8").startswith(before)
    assert [claim.id for claim in load_papers(strict=True)["my-paper"].claims] == ["faster", "better"]
    assert notebook.name == "02_better.ipynb"


def test_every_cell_is_python_or_words_and_none_is_long(checkout):
    _, notebook, test = write_claim("my-paper/faster")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 8 and all(ast.parse(source) and len(source.splitlines()) <= 15 for source in code)
    imports = [n for n in ast.walk(ast.parse(code[0])) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert 0 < len(imports) <= 5 and not [source for source in code[1:] if "import " in source]
    assert "`smoke`" in "".join(cells[0]["source"])
    assert "KEY" not in "".join(code) and 'find_claim("my-paper/faster")' in "".join(code)
    assert 'open_study("faster"' in "".join(code)
    assert len({cell["id"] for cell in cells}) == len(cells)
    compile(test.read_text(encoding="utf-8"), str(test), "exec")


def test_the_rule_says_what_its_test_says(checkout):
    _, _, test = write_claim("my-paper/faster")
    assert pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(checkout), str(test)]) == 0


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("faster", "named PAPER/CLAIM"),
        ("my-paper/Faster", "named PAPER/CLAIM"),
        ("../faster", "named PAPER/CLAIM"),
        ("other/taken", "there is a study 'taken' already"),
    ],
)
def test_names_that_are_none_or_taken_are_refused_and_nothing_is_written(checkout, capsys, key, said):
    write_claim("my-paper/taken")
    before = sorted(checkout.rglob("*"))
    assert main(["new", key]) == 2 and said in capsys.readouterr().err
    assert sorted(checkout.rglob("*")) == before


def test_a_paper_that_cannot_be_read_is_left_as_it_is(checkout):
    file = checkout / "papers" / "broken" / "paper.toml"
    file.parent.mkdir()
    file.write_text("title = ")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ValueError, match="not valid TOML"):
        write_claim("broken/faster")
    assert file.read_text() == "title = "


def test_the_command_says_what_comes_next(checkout, capsys):
    assert main(["new", "my-paper/faster"]) == 0
    said = capsys.readouterr().out
    assert "papers/my-paper/paper.toml: write the sentence" in said
    assert "studykit run --in-place faster" in said
    assert main(["show", "faster"]) == 0 and "not evaluated" in capsys.readouterr().out
