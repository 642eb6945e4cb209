"""The counting of faults: children end as they are said to, losses are told, and damage is damage."""

import importlib
import os
import random
import sys
import time
from types import SimpleNamespace

import pytest

from studykit.home import home

FOLDER = home() / "scripts" / "faults"


@pytest.fixture
def faults(monkeypatch):
    """Gives a module of ``scripts/faults``; none of them stays loaded."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = {path.stem for path in FOLDER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def test_a_child_says_how_it_ended(faults):
    children = faults("children")
    assert children.run(lambda: 7).value == 7
    assert children.run(lambda: 1 / 0).error == "ZeroDivisionError: division by zero"
    assert children.run(lambda: os._exit(0)).error == "ended without a word"
    late = children.run(lambda: time.sleep(60), limit=0.2)
    assert late.error == "still at work after 0 s" and late.seconds < 30
    child = children.Child(lambda: time.sleep(60))
    child.kill()
    assert child.wait().error == "killed by signal 9"
    assert "MemoryError" in children.run(lambda: len(bytes(2**34)), most_gb=8).error


def test_what_is_not_survived_is_counted_and_told(faults):
    table = faults("table")
    row = table.Row("a fault", "it goes on", seen="a figure")
    row.count("")
    row.count("it did not go on")
    said = table.markdown([row, table.Row("not tried", "it goes on")], "on a machine")
    assert "1 of 2 faults were survived" in said and "on a machine" in said
    assert "| a fault | it goes on | 2 | 1 | a figure |" in said
    assert said.endswith("Not survived:\n\n- a fault: it did not go on\n")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mgz", ""])
def test_a_claim_of_terabytes_is_made_and_refused(faults, results, tmp_path, suffix):
    volumes = faults("volumes")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        volumes.write_volume(folder / f"volume{suffix}")
    assert volumes.look(whole)[0] == "ok", "it is a volume before"
    volumes.damage(broken / f"volume{suffix}", suffix, volumes.claiming, random.Random(0))
    said = volumes.look(broken)
    assert said and all(words.startswith("refused") for words in said)


@pytest.mark.parametrize(
    ("began", "said"), [(6, ""), (0, "its checkpoint was of step 6, and it began at step 0")]
)
def test_a_training_that_starts_from_nothing_again_is_not_survived(faults, monkeypatch, began, said):
    trainings = faults("trainings")
    monkeypatch.setattr(trainings, "Teller", type("Teller", (), {"__call__": lambda self, step: None}))

    class Told(trainings.Toy):
        reference = "the same bits"

        def __init__(self):
            self.run_in = lambda root: SimpleNamespace(state="interrupted")
            self.saved_step = lambda root: 6
            self.result = lambda root: self.reference

        def train(self, root):
            for step in range(began, 13):
                trainings.Teller()(step)
            return "done"

    assert Told().finish(None) == said


@pytest.mark.parametrize(
    ("careful", "said"), [(True, ""), (False, "neither as before nor as it should be: a")]
)
def test_half_a_file_on_a_full_disk_is_not_survived(faults, monkeypatch, tmp_path, careful, said):
    writers = faults("writers")
    monkeypatch.setattr(writers, "fill", lambda disk, leave: (disk / writers.KEPT).touch())

    def write(folder):
        full = (folder / writers.KEPT).exists()
        if not (full and careful):
            (folder / "a").write_text("ne" if full else "new")
        if full:
            raise OSError("No space left on device")

    def first(folder):
        (folder / "a").write_text("old")

    found = writers.rewritten(tmp_path / "disk", write, first, random.Random(0), tmp_path / "spare")
    assert found == said
