"""Jobs on a real Slurm of this machine: ended and queued again in the middle, the summary last."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from one_machine_slurm import job_state, missing, running_slurm
from tiny_notebook import write_notebook
from tiny_study import BERTSWIN

from studykit import home
from studykit.cli import main
from studykit.notebooks.cluster import Resources, submit

PATIENCE = 400
CELL = f"""import time
from dataclasses import replace
from tiny_study import STUDY, tiny_profile
from studykit.arms import profiles
from studykit.study import open_study
from studykit.training.loop import Step

def slowly(self, state):
    time.sleep(0.1)
    return step(self, state)

step, Step.__call__ = Step.__call__, slowly
profiles.PRETRAINING["smoke"] = replace(tiny_profile(), steps=60, checkpoint_every=10, eval_every=30)
study = open_study(STUDY, data=data, seeds=[0])
run = study.run(study.arm("BertsWin", "bertswin", **{BERTSWIN!r}))
print("state", run.state, "attempts", run.status.attempts)"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    pytest.importorskip("submitit", reason="not installed here: pip install -e '.[cluster]'")
    if reason := missing():
        pytest.skip(reason)
    with running_slurm(tmp_path_factory.mktemp("slurm") / "own") as variables:
        yield variables


@pytest.fixture
def checkout(tmp_path, monkeypatch, results):
    """Three notebooks: a training, one that fails, and the summary."""
    root = tmp_path / "checkout"
    shutil.copytree(home.papers_dir(), root / "papers")
    (root / "notebooks").mkdir()
    write_notebook(root / "notebooks" / "01_bertswin_convergence.ipynb", CELL)
    write_notebook(root / "notebooks" / "02_bad.ipynb", "raise ValueError('cannot be done')")
    summary = "print(sorted(path.stem for path in home.results_dir().glob('*/*/*.ipynb')))"
    write_notebook(root / "notebooks" / "99_summary.ipynb", summary)
    monkeypatch.setenv("STUDYKIT_HOME", str(root))
    return root


def wait_for(holds, job):
    end = time.monotonic() + PATIENCE
    while not holds():
        said = job.log.read_text() if job.log.exists() else "nothing"
        assert time.monotonic() < end and job_state(job.job) != "FAILED", f"{job.log}:\n{said}"
        time.sleep(0.3)


def steps_done(results):
    """Steps that the one training has come to, by its note."""
    notes = list(results.glob("runs/.now/*.json"))
    return json.loads(notes[0].read_text())["step"] if notes else 0


def released(job):
    """A job that was queued again waits some time by Slurm's own rule; it need not here."""
    subprocess.run(["scontrol", "update", f"JobId={job.job}", "StartTime=now"], capture_output=True)
    return job_state(job.job) in ("RUNNING", "COMPLETED")


@pytest.mark.parametrize("asked", [{"minutes": 2}, {"cores": 0}, {"gpus": -1}, {"memory_gb": 0}])
def test_a_job_that_cannot_be_is_refused(asked):
    with pytest.raises(ValueError, match="a job needs"):
        Resources(**asked)


def test_what_no_notebook_knows_is_refused_before_anything_is_queued(checkout, results):
    with pytest.raises(ValueError, match="No notebook has the parameter sede"):
        submit(["02_bad"], {"sede": 1}, Resources())
    with pytest.raises(ValueError, match="No notebook for '07_gone'"):
        submit(["02_bad", "07_gone"], {}, Resources())
    assert not results.exists()


def test_without_slurm_it_says_so(checkout, results, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"Slurm is not at hand|needs submitit"):
        submit(["02_bad"], {}, Resources())


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """An sbatch that queues nothing and keeps what it is handed; gives the options of each job, in order."""
    pytest.importorskip("submitit", reason="not installed here: pip install -e '.[cluster]'")
    place, kept = tmp_path / "bin", tmp_path / "kept"
    for folder in (place, kept):
        folder.mkdir()
    keep = f'n=$(ls {kept} | wc -l)\ncp "$1" {kept}/$n\necho "Submitted batch job $((n + 1))"\n'
    for name, body in (("sbatch", keep), ("srun", "exit 1\n")):
        (place / name).write_text(f"#!/bin/sh\n{body}")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")

    def options():
        scripts = [path.read_text(encoding="utf-8").splitlines() for path in sorted(kept.iterdir())]
        lines = [[line.removeprefix("#SBATCH --") for line in own if "#SBATCH" in line] for own in scripts]
        return [{line.partition("=")[0]: line.partition("=")[2] for line in own} for own in lines]

    return options


def test_what_the_command_asks_for_reaches_sbatch(asked, checkout, capsys):
    call = ["run", "bad", "summary", "--cluster", "slurm", "--gpus", "2", "--cores", "6", "--memory", "1.5"]
    assert main([*call, "--limit", "90", "--sbatch", "partition", "long", "--sbatch", "account", "mine"]) == 0
    said = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:3]]
    assert said == [["1", "02_bad"], ["2", "99_summary"]]
    job, summary = asked()
    common = {"gpus-per-node": "2", "cpus-per-task": "6", "mem": "1536M", "time": "90"}
    common |= {"partition": "long", "account": "mine", "signal": "USR2@150", "open-mode": "append"}
    for found in (job, summary):
        assert found | common == found and "requeue" in found
    assert job["job-name"] == "02_bad" and "dependency" not in job
    assert summary["job-name"] == "99_summary" and summary["dependency"] == "afterany:1"


def test_what_the_command_does_not_ask_for_is_the_clusters_choice(asked, checkout):
    assert main(["run", "bad", "--cluster", "slurm"]) == 0
    (job,) = asked()
    assert job["cpus-per-task"] == "2" and job["time"] == "60"
    assert not {"gpus-per-node", "mem", "partition", "dependency"} & job.keys()


@pytest.mark.parametrize("how", ["warned", "killed"])
def test_a_job_ended_in_the_middle_goes_on_and_the_summary_comes_last(
    slurm, checkout, results, heads, monkeypatch, how
):
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    stems = ["99_summary", "01_bertswin_convergence", "02_bad"]
    training, bad, summary = submit(stems, {"data": f"folder:{heads}"}, Resources(cores=1))
    assert [one.notebook for one in (training, bad, summary)] == [*stems[1:], stems[0]]
    wait_for(lambda: steps_done(results) > 15, training)
    if how == "warned":
        subprocess.run(["scancel", "--signal=USR2", training.job], check=True)
    else:
        subprocess.run(["scontrol", "requeue", training.job], check=True)
    wait_for(lambda: released(training), training)
    wait_for(lambda: job_state(training.job) == "COMPLETED", training)
    wait_for(lambda: job_state(summary.job) == "COMPLETED", summary)
    assert "state done attempts 2" in training.log.read_text()
    assert job_state(bad.job) == "FAILED" and "ValueError: cannot be done" in bad.log.read_text()
    assert "['01_bertswin_convergence']" in summary.log.read_text(), "it waited for the others"
