"""A workspace: papers and notebooks laid out anew, found from inside, and nothing there is overwritten."""

import json

import pytest

from studykit import home, workspace
from studykit.claims.paper import load_papers
from studykit.cli import main
from studykit.notebooks import notebooks
from studykit.notebooks.new_claim import write_claim
from studykit.report.cards import answer_card


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("STUDYKIT_HOME", "STUDYKIT_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    return workspace.init(tmp_path / "mine")


def test_it_holds_every_paper_and_notebook_of_the_package(folder, monkeypatch):
    monkeypatch.setenv("STUDYKIT_HOME", str(workspace.carried()))
    papers, stems = load_papers(), list(notebooks())
    monkeypatch.setenv("STUDYKIT_HOME", str(folder))
    assert load_papers(strict=True) == papers and list(notebooks()) == stems
    assert not workspace.differs()


def test_it_is_found_from_any_folder_in_it_and_goes_before_the_clone(folder, monkeypatch):
    monkeypatch.chdir(folder / "notebooks")
    assert home.home() == folder and home.results_dir() == folder / "results"
    monkeypatch.chdir(folder.parent)
    assert home.home() == home.PACKAGE.parent
    monkeypatch.setenv("STUDYKIT_HOME", str(folder))
    assert home.home() == folder


def test_a_folder_that_was_deleted_is_no_workspace(tmp_path, monkeypatch):
    monkeypatch.delenv("STUDYKIT_HOME", raising=False)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert home.home() == home.PACKAGE.parent


@pytest.mark.parametrize("name", ["papers", "README.md", home.MARKER])
def test_what_is_there_is_left_as_it_is(tmp_path, capsys, name):
    (tmp_path / name).mkdir()
    assert main(["init", str(tmp_path)]) == 2 and f"has {name} already" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / name]


def test_a_claim_of_ones_own_and_a_report_work_there(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_claim("my-paper/faster")
    assert workspace.differs()
    assert main(["show", "faster"]) == 0 and "not evaluated" in capsys.readouterr().out
    assert main(["report"]) == 0
    assert "### my-paper" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_study_says_there_that_there_is_no_evidence_yet(folder, monkeypatch):
    monkeypatch.chdir(folder / "notebooks")
    assert "there is no `results/` here" in answer_card("bertswin-convergence")


@pytest.mark.parametrize("name", ["paper.toml", "answer.toml"])
@pytest.mark.filterwarnings("ignore:.*not valid TOML")
def test_a_broken_toml_disables_its_own_paper_only(folder, monkeypatch, capsys, name):
    monkeypatch.chdir(folder)
    (folder / "papers" / "bertswin" / name).write_text("title = ", encoding="utf-8")
    assert main(["list"]) == 0 and "nnformer-data-efficiency" in capsys.readouterr().out
    assert main(["show", "nnformer-data-efficiency"]) == 0
    assert main(["report"]) == 0
    said = (folder / "README.md").read_text(encoding="utf-8")
    assert "### MAE-Based" in said and ("### BertsWin" in said) == (name == "answer.toml")
    assert main(["show", "bertswin-convergence"]) == (2 if name == "paper.toml" else 0)


def test_outputs_are_no_change_and_sources_are(folder, monkeypatch):
    monkeypatch.setenv("STUDYKIT_HOME", str(folder))
    path = notebooks()["00_tour"]
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell.pop("outputs", None)
    path.write_text(json.dumps(content), encoding="utf-8")
    assert not workspace.differs()
    content["cells"][0]["source"] = ["another title"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert workspace.differs()


def test_the_command_says_what_comes_next(tmp_path, capsys):
    assert main(["init", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'new'}: papers/") and f"cd {tmp_path / 'new'}" in said
