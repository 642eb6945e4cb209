"""What run.sh does on a machine: in which order, with how much time, and that something always comes back."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from studykit.bundle import drive
from studykit.bundle.collect import BACK, ROOT
from studykit.bundle.manifest import FILE, Manifest, Needs

BROKEN = "tests/training/test_loop.py::test_x[a case]"
STUDIES = ("bertswin-convergence", "effective-rank")


@pytest.fixture
def root(tmp_path):
    """A bundle without volumes, and with two files of tests of which one is for a card."""
    values = Manifest(
        commit="a" * 40, dirty=False, studies=STUDIES, further={}, profile="gpu", minutes=10, on_a_card=3,
        rules={}, rounded_by=0, needs=Needs("3.12", "2.8", True, 1, 1, 1),
    ).to_dict()  # fmt: skip
    (tmp_path / FILE).write_text(json.dumps(values))
    tests = tmp_path / "source" / "tests" / "training"
    tests.mkdir(parents=True)
    (tests / "test_loop.py").write_text("@pytest.mark.gpu\n")
    (tests / "test_step.py").write_text("")
    return tmp_path


@pytest.fixture
def done(monkeypatch):
    """What would be started: name → (arguments, seconds), in order; ``ends``: exit statuses and logs."""
    calls, ends = {}, {}

    def logged(arguments, root, name, seconds, *, module=True):
        calls[name] = list(arguments), seconds
        status, said = ends.get(name, (0, ""))
        (root / "logs" / f"{name}.log").write_text(said)
        return status

    monkeypatch.setattr(drive, "_logged", logged)
    monkeypatch.delenv(drive.UNTESTED, raising=False)
    return calls, ends


def test_tests_come_first_then_benchmarks_then_the_studies_with_the_rest(root, done):
    calls, ends = done
    ends["benchmarks"] = 124, ""
    assert drive.drive(root, root) == 0
    assert list(calls) == ["tests", "benchmarks", "run"]
    arguments, seconds = calls["tests"]
    assert arguments[-1] == "tests/training/test_loop.py" and "gpu" in arguments and seconds == 90
    assert 0 < calls["benchmarks"][1] <= 60 and calls["benchmarks"][0][1:] == ["card"]
    arguments, seconds = calls["run"]
    assert arguments[:6] == ["studykit", "run", *STUDIES, "--profile", "gpu"] and 8 * 60 < seconds < 11 * 60
    assert arguments[-2:] == ["--on-a-card", "3"]
    assert 8 < float(arguments[7]) < 10


def test_studies_once_more_come_last_with_their_share_of_the_time(root, done):
    calls, ends = done
    values = json.loads((root / FILE).read_text())
    given = {"data": "sample-head-cts", "seeds": [1, 2]}
    (root / FILE).write_text(json.dumps(values | {"further": {STUDIES[0]: given}}))
    ends["run"] = 1, ""
    assert drive.drive(root, root) == 1
    assert list(calls) == ["tests", "benchmarks", "run", f"run-{STUDIES[0]}"]
    (first, _), (again, _) = calls["run"], calls[f"run-{STUDIES[0]}"]
    assert again[:3] == ["studykit", "run", STUDIES[0]] and again[-2:] == ["--on-a-card", "3"]
    parameters = ["-p", "data", "sample-head-cts", "-p", "seeds", "[1, 2]"]
    assert again[-8:-2] == parameters and "-p" not in first
    # Two of three notebooks have two thirds of it; as they took no time here, the third has all.
    minutes = [float(call[call.index("--minutes") + 1]) for call in (first, again)]
    assert minutes[0] == pytest.approx(minutes[1] * 2 / 3, abs=0.1)
    assert (root / BACK).exists()


def test_nothing_is_trained_on_a_card_whose_tests_fail(root, done):
    calls, ends = done
    ends["tests"] = 1, f"[gw1] [ 50%] FAILED {BROKEN} \n"
    assert drive.drive(root, root) == 1
    assert list(calls) == ["tests"] and (root / BACK).exists()
    assert (root / "logs" / "tests.log").read_text().endswith(f"tests of the card that failed: {BROKEN}\n")


def test_a_card_whose_tests_fail_is_trained_on_where_that_is_said(root, done, monkeypatch):
    calls, ends = done
    ends["tests"] = 1, f"{BROKEN} FAILED   [ 50%]\n"
    monkeypatch.setenv(drive.UNTESTED, "1")
    assert drive.drive(root, root) == 0
    assert list(calls) == ["tests", "benchmarks", "run"]
    assert (root / "logs" / "run.log").read_text().endswith(f"tests of the card that failed: {BROKEN}\n")
    assert not (root / "logs" / drive.PASSED).exists()


def test_tests_that_are_cut_off_stop_nothing_unless_one_of_them_failed(root, done):
    calls, ends = done
    ends["tests"] = 124, "tests/a.py::test_a PASSED [ 50%]\n"
    assert drive.drive(root, root) == 0
    assert list(calls) == ["tests", "benchmarks", "run"]
    assert "cut off after 90 s" in (root / "logs" / "tests.log").read_text()
    calls.clear()
    ends["tests"] = 124, f"FAILED {BROKEN} - assert 1 == 2\n"
    assert drive.drive(root, root) == 124
    assert list(calls) == ["tests"]


def test_a_second_call_on_the_same_card_neither_tests_nor_times_again(root, done):
    calls, _ = done
    (root / drive.NODE).write_text(json.dumps({"torch": "2.11", "cards": [["H100", 78.0]]}))
    assert drive.drive(root, root) == 0
    calls.clear()
    assert drive.drive(root, root) == 0 and list(calls) == ["run"]
    calls.clear()
    (root / drive.NODE).write_text(json.dumps({"torch": "2.11", "cards": [["H200", 138.0]]}))
    assert drive.drive(root, root) == 0 and list(calls) == ["tests", "benchmarks", "run"]


def test_what_fails_to_unpack_still_brings_the_manifest_back(root, done):
    folder = root / "carried" / "volumes"
    folder.mkdir(parents=True)
    (folder / "key.npz").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"key\.npz is damaged"):
        drive.drive(root, root)
    with tarfile.open(root / BACK) as tar:
        assert tar.getnames() == [f"{ROOT}/{FILE}"]


def script(root, text):
    path = root / "source" / "script.py"
    path.write_text(text)
    return [str(path)]


def test_what_a_step_says_is_shown_and_kept(root, capsys):
    (root / "logs").mkdir()
    own = script(root, "import sys\nprint('out')\nsys.exit(3)")
    assert drive._logged(own, root, "step", 60, module=False) == 3
    assert (root / "logs" / "step.log").read_text() == "out\n"
    assert "  out\n  step: exit status 3" in capsys.readouterr().out


def test_a_step_is_ended_with_its_children_when_its_time_is_over(root):
    (root / "logs").mkdir()
    own = script(root, "import os, time\nprint(os.fork(), flush=True)\ntime.sleep(60)")
    start = time.monotonic()
    assert drive._logged(own, root, "step", 3, module=False) == 124
    assert time.monotonic() - start < 30
    child = max(map(int, (root / "logs" / "step.log").read_text().split()))
    for _ in range(100):
        if not os.path.exists(f"/proc/{child}") or " Z " in open(f"/proc/{child}/stat").read():
            break
        time.sleep(0.1)
    else:
        pytest.fail("its child is still at work")


def test_a_call_that_is_cut_short_still_packs(root):
    """SIGTERM, as of ``timeout``, while the tests of the card are running."""
    (root / "source" / "tests" / "training" / "test_loop.py").write_text(
        "import pytest, time\n@pytest.mark.gpu\ndef test_slow():\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-P", "-m", "studykit.bundle.drive", str(root), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if line.startswith("tests:"):
                break
        child.send_signal(signal.SIGTERM)
        said = child.stdout.read()
    assert child.returncode == 128 + signal.SIGTERM
    assert str(root / BACK) in said
    with tarfile.open(root / BACK) as tar:
        assert f"{ROOT}/logs/tests.log" in tar.getnames()
