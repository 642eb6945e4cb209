"""Running studies: what is refused, handed to the batch and told of it."""

import os

import pytest
from tiny_study import STUDY

from studykit.claims.estimate import Estimate
from studykit.cli import main
from studykit.data.sources import DEFAULT_SOURCE
from studykit.notebooks import dry_run

CLAIM = "bertswin/convergence-speedup"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "No notebook for 'fly'. Known: tour, bertswin-convergence"),
        (["--profile", "tiny"], "Unknown profile 'tiny'. Known: smoke, laptop, gpu, paper"),
        (["-p", "profile", "tiny"], "Unknown profile 'tiny'. Known: smoke"),
        (
            ["tour", "-p", "sede", "1"],
            "No notebook has the parameter sede. Known: data, label, profile, seeds",
        ),
        (["tour", "-p", "data", "sample-hands"], "unknown data source 'sample-hands'; known: sample-heads"),
        (["tour", "--jobs", "0"], "jobs must be at least 1, got 0"),
        (["tour", "--in-place", "-p", "seeds", "[1]"], "--in-place keeps the default parameters"),
        (["tour", "--in-place", "--profile", "gpu"], "--in-place keeps the default parameters"),
        (["tour", "--in-place", "--seeds", "3"], "--in-place keeps the default parameters"),
        (["tour", "--cluster", "slurm", "--jobs", "2"], "queues one job a notebook"),
        (["tour", "--cluster", "slurm", "--gpus", "-1"], "no negative number of GPUs"),
        (["tour", "--seeds", "0"], "--seeds is a number of seeds, at least 1"),
        (["tour", "--seeds", "2", "-p", "seeds", "[1]"], "--seeds is a number of seeds, at least 1"),
    ],
)
def test_a_wrong_run_ends_with_2_before_any_notebook(call, checkout, results, arguments, message):
    said = call("run", *arguments)
    assert said.status == 2 and message in said.err and not results.exists()


def test_run_tells_how_each_notebook_went_and_how_the_claims_stand(call, pretended):
    said = call("run", "--jobs", 2)
    assert said.status == 1 and pretended["jobs"] == 2
    assert pretended["stems"] == ["00_tour", "01_bertswin_convergence"]
    lines = [line.split() for line in said.out.splitlines() if line.startswith("  0")]
    assert lines == [
        ["00_tour", "done", "61.5", "s", "results/00_tour.ipynb"],
        ["01_bertswin_convergence", "failed", "61.5", "s", "results/01_bertswin_convergence.ipynb"],
    ]
    assert "ValueError: cannot be done\n    last line" in said.err
    assert "no claim was concluded" in said.out
    assert "    log: results/01_bertswin_convergence.log" in said.err
    assert said.out.endswith(
        "01_bertswin_convergence failed: last line\n  results/01_bertswin_convergence.ipynb\n"
        "  log: results/01_bertswin_convergence.log\n"
    )
    assert call("run", "tour").status == 0


def test_run_ends_in_the_claims_of_this_run_alone(call, pretended, tiny, heads):
    def concluded(value, **settings):
        tiny(**settings).conclude(CLAIM, Estimate(value, 1.8, 3.1, 5, "reduced-scale", unit="×"))

    concluded(2.4, data=DEFAULT_SOURCE)
    concluded(2.9)
    said = call("run", "tour", STUDY)
    assert said.status == 1 and CLAIM not in said.out, "an earlier run is not told where this one failed"
    pretended["fails"] = {}
    assert "2.40× [1.80, 3.10]" in call("run", STUDY).out
    own = call("run", STUDY, "-p", "data", f"folder:{heads}").out
    assert "2.90× [1.80, 3.10]" in own and "2.4" not in own
    assert sum("/" in line.split()[0] for line in own.splitlines() if line.startswith("bertswin/")) == 1


def test_a_dry_run_tells_what_it_would_take(call, pretended, monkeypatch):
    row = {"study": STUDY, "arm": "MAE-ViT", "steps to do": 10800, "GFLOP a step": 1.7109, "minutes": 11.7}
    row |= {"memory (MB)": None, "disk (MB)": 99.1}
    rows = [row, row | {"arm": "BertsWin", "memory (MB)": 512.0}]
    plans = {"00_tour": ([], ""), "01_bertswin_convergence": (rows, "")}
    monkeypatch.setattr(dry_run, "plan_notebook", lambda stem, parameters: plans[stem])
    said = call("run", "--dry-run", "-p", "data", "sample-heads")
    assert said.status == 0 and "stems" not in pretended
    assert "00_tour: nothing to train" in said.out
    assert "about 23.4 minutes of training, 37 TFLOP, 198 MB" in said.out
    lines = [line.split() for line in said.out.splitlines()]
    assert ["MAE-ViT", "10,800", "1.71", "18.5", "11.7", "–", "99.1"] in lines
    assert ["BertsWin", "10,800", "1.71", "18.5", "11.7", "512", "99.1"] in lines
    assert ["in", "all", "21,600", "–", "37", "23.4", "–", "198"] in lines, "one arm's memory is not known"
    plans["00_tour"] = ([], "ValueError: no volumes")
    assert call("run", "tour", "--dry-run").status == 1


def test_minutes_are_handed_on(call, pretended):
    call("run", "--minutes", "2.5", "tour")
    assert pretended["minutes"] == 2.5
    call("run", "tour")
    assert pretended["minutes"] is None


def test_as_many_jobs_as_cores(call, pretended):
    call("run", "--jobs", "cores", "tour")
    assert pretended["jobs"] == len(os.sched_getaffinity(0))


def test_run_help_tells_the_parameters_of_each_study(capsys, checkout):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert (
        "\n  tour: profile 'smoke', seeds [0, 1], label 'a = b # c', data None\n" in capsys.readouterr().out
    )


def test_run_hands_over_values_and_a_data_folder_seen_from_here(call, pretended, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = ["-p", "seeds", "[3, 4]", "-p", "data", "folder:own", "-p", "label", "text"]
    assert call("run", "tour", "--profile", "laptop", "--limit", 2, *given).status == 0
    assert pretended["limit_seconds"] == 120
    assert pretended["parameters"] == {
        "profile": "laptop", "seeds": [3, 4], "data": f"folder:{tmp_path / 'own'}", "label": "text",
    }  # fmt: skip
    assert pretended["show_output"], "what a long run says is shown while it runs"
    call("run", "tour", "-p", "profile", "gpu")
    assert pretended["parameters"]["profile"] == "gpu"
    call("run", "tour", "--in-place")
    assert pretended["parameters"] == {} and pretended["in_place"] and not pretended["show_output"]


def test_runs_on_a_card_are_told_to_all_processes(call, pretended, monkeypatch):
    monkeypatch.setenv("STUDYKIT_ON_A_CARD", "1")
    call("run", "tour", "--on-a-card", 3)
    assert os.environ["STUDYKIT_ON_A_CARD"] == "3"
    refused = call("run", "tour", "--on-a-card", 0)
    assert refused.status == 2 and "a number of runs, at least 1; got '0'" in refused.err


def test_a_number_of_seeds_is_the_first_ones(call, pretended):
    call("run", "tour", "--seeds", 3)
    assert pretended["parameters"]["seeds"] == 3


def test_text_stays_text_where_the_notebook_says_so(call, pretended):
    call("run", "tour", "-p", "label", "007", "-p", "seeds", "[7]")
    assert pretended["parameters"]["label"] == "007" and pretended["parameters"]["seeds"] == [7]
