"""The command line as a test calls it, and a checkout whose notebooks are not run."""

import shutil
from types import SimpleNamespace

import pytest
from tiny_notebook import write_notebook

from studykit import home, notebooks
from studykit.cli import main


@pytest.fixture
def call(results, capsys):
    """Calls the command line; gives its status and what it printed. Results go to a folder of the test."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(status=status, out=said.out, err=said.err)

    return run


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The papers of this checkout, and two notebooks of which one fails."""
    root = tmp_path / "checkout"
    shutil.copytree(home.papers_dir(), root / "papers")
    (root / "notebooks").mkdir()
    write_notebook(root / "notebooks" / "00_tour.ipynb", "print('went well')")
    write_notebook(root / "notebooks" / "01_bertswin_convergence.ipynb", "raise ValueError('cannot be done')")
    monkeypatch.setenv("STUDYKIT_HOME", str(root))
    return root


@pytest.fixture
def pretended(checkout, monkeypatch):
    """Notebooks are not run; the tour goes well, the study fails. Gives what the batch was asked for."""
    asked = {"fails": {"01_bertswin_convergence": "ValueError: cannot be done\nlast line"}}

    def pretend(stems, parameters, **settings):
        asked.update(stems=list(stems), parameters=parameters, **settings)
        outputs = {stem: checkout / "results" / f"{stem}.ipynb" for stem in stems}
        errors = asked["fails"]
        executions = [
            notebooks.Execution(
                stem, outputs[stem], 61.5, errors.get(stem, ""),
                log=outputs[stem].with_suffix(".log") if stem in errors else None,
                evidence=home.evidence_dir(notebooks.study_of(stem), "smoke", own="data" in parameters),
            )
            for stem in stems
        ]  # fmt: skip
        for execution in executions:
            settings["announce"](execution)
        return executions

    monkeypatch.setattr(notebooks, "run_batch", pretend)
    return asked
