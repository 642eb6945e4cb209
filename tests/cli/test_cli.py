"""The command line as a whole: quick to start, and what its calls end with."""

import os
import subprocess
import sys

import pytest

from studykit import __version__, cli
from studykit.cli import main

HEAVY = ("torch", "numpy", "pandas", "scipy", "matplotlib", "monai", "nibabel", "papermill")


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
