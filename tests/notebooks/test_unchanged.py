"""A notebook is left as it is where nothing that decides its outputs has changed, and only there."""

import os

import pytest
from tiny_notebook import printed, write_notebook

from studykit import home
from studykit.cli import main
from studykit.notebooks import run_batch, unchanged
from studykit.runs.store import RunStore
from studykit.training.loop import Outcome

GOOD = {"profile": "laptop"}


def once(keep=True, **parameters):
    (execution,) = run_batch(["01_good"], GOOD | parameters, keep=keep)
    return execution


def test_what_has_not_changed_is_kept_and_looks_the_same(checkout):
    first = once()
    before = first.output.stat()
    again = once()
    assert first.kept == "" and again.kept and again.seconds == 0
    assert (again.output, again.evidence) == (first.output, first.evidence)
    assert again.output.stat().st_mtime_ns == before.st_mtime_ns
    assert once(keep=False).kept == "" and first.output.stat().st_mtime_ns > before.st_mtime_ns


def _cell(checkout):
    write_notebook(checkout / "notebooks" / "01_good.ipynb", "print('another cell')")


def _paper(checkout):
    (checkout / "papers" / "claim.toml").write_text("title = 'x'")


def _package(checkout):
    (checkout / "package" / "module.py").write_text("x = 2")


def _room_of_runs(checkout):
    (checkout / "package" / "runs" / "batch.py").write_text("x = 2")


def _evidence(checkout):
    (checkout / "results" / "good" / "laptop" / "verdict.json").write_text("{}")


def _touched(checkout):
    (checkout / "results" / "good" / "laptop" / "table.csv").write_text("b\n1\n")
    os.utime(checkout / "results" / "good" / "laptop" / "table.csv", (1, 1))


def _output(checkout):
    (checkout / "results" / "good" / "laptop" / "01_good.ipynb").unlink()


def _note(checkout):
    (note,) = (home.runs_dir() / ".now" / "executed").iterdir()
    note.write_text("no JSON")


@pytest.fixture
def stands(checkout, monkeypatch):
    """Whether what an execution left still stands; there was one, in this fixture's words."""
    package, folder = checkout / "package", checkout / "results" / "good" / "laptop"
    files = (
        package / "module.py",
        package / "runs" / "batch.py",
        folder / "table.csv",
        folder / "01_good.ipynb",
    )
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as it was")
    monkeypatch.setattr(home, "PACKAGE", package)
    unchanged.remember("01_good", GOOD)

    def asked(**parameters):
        return bool(unchanged.executed_before("01_good", GOOD | parameters, folder / "01_good.ipynb"))

    return asked


@pytest.mark.parametrize(
    "change", [_cell, _paper, _package, _room_of_runs, _evidence, _touched, _output, _note]
)
def test_each_thing_that_decides_brings_it_to_be_executed(checkout, stands, change):
    (home.results_dir() / "batch").mkdir()
    (home.results_dir() / "batch" / "failed.log").write_text("no evidence")
    assert stands() and not stands(seeds=[3])
    change(checkout)
    assert not stands()


def test_another_release_of_a_package_counts(stands, monkeypatch):
    assert stands()
    monkeypatch.setattr(unchanged, "version", lambda package: "99")
    assert not stands()


def test_volumes_of_ones_own_and_failures_are_never_kept(checkout):
    unchanged.remember("01_good", own := GOOD | {"data": "folder:own"})
    assert not unchanged.executed_before("01_good", own, checkout / "notebooks" / "01_good.ipynb")
    for _ in range(2):
        (bad,) = run_batch(["02_bad"], {}, keep=True)
        assert bad.error and bad.kept == ""


def test_the_summary_is_executed_where_any_evidence_is_new(checkout):
    both = ["01_good", "99_summary"]
    run_batch(both, {}, keep=True)
    assert all(execution.kept for execution in run_batch(both, {}, keep=True))
    write_notebook(checkout / "notebooks" / "01_good.ipynb", "print('anew')")
    good, summary = run_batch(both, {}, keep=True)
    assert good.kept == summary.kept == "" and "anew" in printed(good.output)


def test_the_command_says_so_and_again_executes(checkout, capsys):
    for words, options in (("done", []), ("kept", []), ("done", ["--again"])):
        assert main(["run", "good", *options]) == 0
        said = capsys.readouterr().out
        assert f"01_good{'':<26}{words}" in said and ("--again executes it anew" in said) == (words == "kept")


def test_runs_that_are_removed_are_made_again(checkout, capsys):
    once()
    config = {"method": {"name": "mae", "options": {}}, "seeds": {"training": 1}}
    RunStore(home.runs_dir()).execute(config, "an arm", lambda run: Outcome("diverged", 1, 1.0))
    assert once().kept
    assert main(["runs", "clean", "diverged"]) == 0 and "removed 1 run" in capsys.readouterr().out
    assert once().kept == ""
