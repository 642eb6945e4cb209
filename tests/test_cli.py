"""The command line: what each verb prints, its exit status, and that it starts quickly."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tiny_notebook import write_notebook
from tiny_study import STUDY, write_heads

from studykit import __version__, cli, home, notebooks
from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.cli import main
from studykit.data.files.archives import Archive, ArchiveUnavailable
from studykit.data.sources import DEFAULT_SOURCE
from studykit.notebooks import dry_run
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore
from studykit.runs.telling import telling

CLAIM = "bertswin/convergence-speedup"
HEAVY = ("torch", "numpy", "pandas", "scipy", "matplotlib", "monai", "nibabel", "papermill")


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


# ---- starting


def loaded_after(*arguments):
    """What a call prints, and then which heavy packages it has loaded."""
    code = (
        "import sys\nfrom studykit.cli import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_help_loads_nothing_heavy_and_names_every_command():
    said = loaded_after("--help")
    assert "loaded []" in said
    for verb in ("list", "show", "run", "data", "runs", "bundle", "unbundle", "report"):
        assert f"\n    {verb} " in said


def test_list_loads_no_more_than_the_power_of_a_rule_needs():
    loaded = loaded_after("list").splitlines()[-1]
    assert not [name for name in set(HEAVY) - {"numpy", "scipy"} if f"'{name}'" in loaded]


def test_the_package_itself_is_the_command_too():
    def said(*command):
        return subprocess.run(
            [sys.executable, "-P", *command], capture_output=True, text=True, check=True
        ).stdout

    assert said("-m", "studykit", "--version") == f"studykit {__version__}\n"


def test_help_comes_at_once():
    """Seconds of the processor, the best of three, over those of an empty Python."""

    def seconds(code):
        measured = f"import sys, time\n{code}\nprint(time.process_time(), file=sys.stderr)"
        command = [sys.executable, "-c", measured]
        done = [subprocess.run(command, capture_output=True, text=True) for _ in range(3)]
        return min(float(one.stderr.split()[-1]) for one in done)

    call = "from studykit.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert seconds(call) - seconds("") < 0.1


def test_the_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"studykit {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run", "--jobs", "two"], ["data"], ["runs", "clean"], ["show"]]
)
def test_a_call_that_does_not_parse_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2 and "usage: studykit" in capsys.readouterr().err


# ---- claims


def test_list_names_every_study_and_keeps_kinds_of_claim_apart(call):
    said = call("list")
    assert said.status == 0
    names = [line.split()[0] for line in said.out.splitlines()[1:]]
    assert [name for name, _ in itertools.groupby(names)] == list(
        dict.fromkeys(c.study for p in load_papers().values() for c in p.claims)
    )
    line = next(line for line in said.out.splitlines() if line.startswith(STUDY))
    assert "01_bertswin_convergence" in line and "not evaluated" in line
    kinds = [line for line in said.out.splitlines() if line.startswith("bertswin-compute")]
    assert all("abstract, second-hand summary, released code" in line for line in kinds)
    assert len(kinds) == 2 and "arithmetic  " in kinds[0] and "arithmetic, derived" in kinds[1]
    unwritten = [line for line in said.out.splitlines() if line.startswith("spine-ablation")]
    assert "not written yet" in unwritten[0] or (home.notebooks_dir() / "11_spine_ablation.ipynb").exists()


def test_show_prints_claims_with_what_is_unknown_and_the_verdict(call, tiny):
    tiny("laptop", data=DEFAULT_SOURCE).conclude(
        "bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×")
    )
    said = call("show", STUDY)
    assert said.status == 0
    assert "notebooks/01_bertswin_convergence.ipynb" in said.out
    assert "bertswin/convergence-speedup: partially reproduced" in said.out
    assert "bertswin/monotone-convergence: not evaluated" in said.out
    for word in (
        "reported: speed-up 5.79 ×",
        "unknown: Number of seeds",
        "rule (effect): Optimizer steps",
        "laptop, supported: At reduced",
        "sources read: abstract, second-hand summary, released code",
        "changed: 2026-11-27, after d1af215 (results known",
    ):
        assert word in said.out


def test_show_of_an_unknown_study_lists_the_known_ones(call):
    said = call("show", "convergence")
    assert said.status == 2 and f"Unknown study 'convergence'. Known: {STUDY}" in said.err


def test_status_says_what_changed_since_the_evidence_and_what_a_refresh_costs(call, tiny):
    tiny("laptop", data=DEFAULT_SOURCE).conclude(CLAIM, Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))
    said = call("status", STUDY)
    assert said.status == 0
    head, row = said.out.splitlines()[:2]
    assert head.split()[:4] == ["study", "profile", "claims", "rule"] and "cost of a refresh" in head
    assert row.split()[:3] == [STUDY, "laptop", "1"] and "no compute" in row
    assert "no evidence yet" in call("status").out
    wrong = call("status", "convergence")
    assert wrong.status == 2 and f"Known: {STUDY}" in wrong.err


def test_judge_decides_again_from_the_tables_and_needs_a_verdict(call, tiny):
    empty = call("judge", STUDY)
    assert empty.status == 2 and f"{STUDY} has no verdict" in empty.err
    tiny("laptop", data=DEFAULT_SOURCE).conclude(
        "bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×")
    )
    said = call("judge", STUDY)
    assert said.status == 0 and "bertswin/convergence-speedup: partially reproduced** (supported)" in said.out


def test_power_says_what_a_design_sees_and_compare_holds_a_rerun_against_it(call, tiny):
    study = tiny("laptop", data=DEFAULT_SOURCE)
    study.conclude("bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))
    said = call("power", STUDY)
    assert said.status == 0 and "no runs at hand" in said.out and "O'Brien and Fleming" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("convergence-speedup "))
    assert row.split()[1] == "1.25" and row.split()[3] == "5"
    said = call("compare", str(study.folder))
    assert said.status == 0 and "convergence-speedup: 2.40× [1.80, 3.10], then 2.40×" in said.out
    missing = call("compare", str(study.folder / "nowhere"))
    assert missing.status == 2 and "verdict.json" in missing.err


# ---- run


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


def test_pretrain_help_tells_its_backbones(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    said = capsys.readouterr().out
    assert "backbones: unetr, " in said and "wave-unet" in said and "mae-vit" not in said
    assert "maskings: random, nested" in said and "objectives: reconstruction, " in said


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("studykit sta", ["status"]),
        ("studykit run bertswin-con", ["bertswin-convergence"]),
        ("studykit run --profile la", ["laptop"]),
        ("studykit runs cl", ["clean"]),
        ("studykit runs clean div", ["diverged"]),
        ("studykit show bertswin-con", ["bertswin-convergence"]),
        ("studykit status bertswin-convergence bertswin-com", ["bertswin-compute"]),
        ("studykit judge bertswin-con", ["bertswin-convergence"]),
        ("studykit power bertswin-con", ["bertswin-convergence"]),
        ("studykit power bertswin-convergence --profile pa", ["paper"]),
        ("studykit gpu-plan bertswin-con", ["bertswin-convergence"]),
        ("studykit bundle out.tar.gz bertswin-con", ["bertswin-convergence"]),
        ("studykit new berts", ["bertswin/"]),
        ("studykit data check sample-b", ["sample-bodies"]),
    ],
)
def test_tab_completes(typed, expected, tmp_path):
    pytest.importorskip("argcomplete", reason="not installed here: pip install argcomplete")
    said = tmp_path / "said"
    shell = {"_ARGCOMPLETE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed)), "COMP_TYPE": "9"}
    shell |= {"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(said)}
    subprocess.run([sys.executable, "-m", "studykit"], env=os.environ | shell, check=True)
    assert [word.strip() for word in said.read_text().split("\n")] == expected


def test_a_stop_by_the_user_ends_with_130(call, monkeypatch):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.studies, "list_studies", stop)
    said = call("list")
    assert said.status == 130 and "goes on from the last checkpoints" in said.err


# ---- data


def test_data_list(call):
    said = call("data", "list")
    assert said.status == 0
    for name in ("sample-heads", "sample-head-cts", "sample-bodies", "msd:Task04_Hippocampus", "folder:PATH"):
        assert f"\n{name} " in said.out


def test_data_fetch_says_what_is_at_hand_and_how_to_get_what_is_not(call, heads, monkeypatch):
    said = call("data", "fetch", f"folder:{heads}")
    assert said.status == 0 and said.out.endswith("5 volumes of 5 subjects at hand\n")
    said = call("data", "fetch", "sample-hands")
    assert said.status == 2 and "unknown data source 'sample-hands'" in said.err
    said = call("data", "fetch", f"folder:{heads / 'nothing'}")
    assert said.status == 2 and "no such file or folder" in said.err

    def offline(name):
        raise ArchiveUnavailable(heads, {Archive("heads-1.0-py3-none-any.whl", "0" * 64, 5): "no network"})

    monkeypatch.setattr("studykit.data.sources.fetch_source", offline)
    said = call("data", "fetch")
    assert said.status == 1 and "place under the same name in" in said.err


def test_data_check_names_what_is_wrong(call, tmp_path):
    folder = write_heads(tmp_path / "own")
    said = call("data", "check", f"folder:{folder}")
    assert said.status == 0 and said.out.count(" ok") == 5 and "26×26×26" in said.out and "4×4×4" in said.out
    (folder / "broken.nii").write_bytes(b"no volume")
    said = call("data", "check", f"folder:{folder}")
    line = next(line for line in said.out.splitlines() if line.startswith("broken"))
    assert said.status == 1 and "refused: " in line and said.out.count(" ok") == 5


def test_data_check_reads_like_a_note(call, tmp_path):
    folder = write_heads(tmp_path / "own")
    first = sorted(folder.iterdir())[0]
    (folder / "twice_run-1.nii").write_bytes(first.read_bytes())
    (folder / "twice_run-2.nii").write_bytes(first.read_bytes())
    (folder / "x_brainmask.nii").write_bytes(first.read_bytes())
    (folder / "notes.txt").write_text("read me")
    said = call("data", "check", f"folder:{folder}")
    assert said.status == 0
    assert (
        "6 subjects with 7 images; usable: 7 images of 6 subjects, 0 with a label map; refused: 0" in said.out
    )
    assert "one subject: twice is twice_run-1.nii, twice_run-2.nii" in said.out
    assert "1 file not used:\n  x_brainmask.nii  is a mask of something else" in said.out
    assert "other files: 1 .txt" in said.out


def test_a_stream_that_lacks_a_letter_gets_another_one(tmp_path):
    folder = write_heads(tmp_path / "own")
    for arguments in (["data", "list"], ["data", "check", f"folder:{folder}"]):
        done = subprocess.run(
            [sys.executable, "-m", "studykit", *arguments],
            env={**os.environ, "PYTHONIOENCODING": "ascii", "STUDYKIT_DATA": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "26x26x26" in done.stdout


# ---- runs and report


def test_runs_alone_says_what_goes_on_now(call, results):
    run = RunStore(home.runs_dir()).open({"training": {"steps": 40}}, "an arm, seed 0")
    assert call("runs").out.startswith("no training is at work")
    with telling(run, show=False) as tell:
        tell(10)
        assert call("runs").out.startswith("no training is at work"), "a note whose process is dead"
        with run.held(wait=False):
            said = call("runs")
    assert said.status == 0
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert said.out == f"an arm, seed 0: step 10 of 40 ({who})\n"
    with LookingAhead("a-study", [run], {run.key: 1.0}, pace=0.5):
        assert call("runs").out.startswith("no training is at work"), "it is between two trainings"
        with telling(run, show=False) as tell, run.held(wait=False):
            tell(10)
            assert "a-study: 1 training ahead, about " in call("runs").out
    assert call("runs").out.startswith("no training is at work")


def test_runs_are_listed_and_cleaned_by_state(call, tiny):
    study = tiny()
    study.arm("small", "mae", embed_dim=48, depth=1, num_heads=2, decoder_dim=24, decoder_num_heads=2)
    run = study.run("small")
    said = call("runs", "list")
    assert said.status == 0
    assert said.out.splitlines()[1].split() == [
        f"{STUDY}:", "small,", "seed", "0", "done", "4", "of", "4", run.folder.name,
    ]  # fmt: skip
    said = call("runs", "clean", "finished")
    assert said.status == 2 and "unknown state finished; known: running, interrupted, done" in said.err
    assert call("runs", "clean", "error", "diverged").out == "removed 0 run(s)\n" and run.folder.exists()
    assert call("runs", "clean", "done").out == "removed 1 run(s)\n" and not run.folder.exists()
    assert call("runs", "list").out == "run  state  steps  folder\n"


def test_report_rewrites_summary_site_and_readme(call, checkout, results):
    readme = checkout / "README.md"
    readme.write_text("before\n<!-- claims:begin -->\noutdated\n<!-- claims:end -->\nafter\n")
    assert call("report").status == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "outdated" not in text
    assert (results / "SUMMARY.md").exists() and (results / "index.html").exists()
    readme.write_text("no markers")
    said = call("report")
    assert (
        said.status == 2
        and "<!-- claims:begin -->" in said.err
        and readme.read_text(encoding="utf-8") == "no markers"
    )
