"""Notes of what is going on: kept while a training is at work, gone with it, never in its way."""

import os

from studykit.runs.now import note_of, notes
from studykit.runs.store import RunStore
from studykit.runs.telling import telling

CONFIG = {"training": {"steps": 4}}


def test_a_note_says_who_is_how_far_and_goes_with_the_training(tmp_path):
    run = RunStore(tmp_path).open(CONFIG, "an arm, seed 0")
    with telling(run, show=False) as tell:
        tell(2)
        assert notes(tmp_path) == [], "nobody holds the run"
        with run.held(wait=False):
            (note,) = notes(tmp_path)
        tell(3)
        assert note_of(tmp_path, run.key).step == 2, "once a second is enough"
        tell(4)
        assert note_of(tmp_path, run.key).step == 4, "but its end is told"
    assert (note.label, note.step, note.first, note.steps, note.pid) == (
        "an arm, seed 0",
        2,
        2,
        4,
        os.getpid(),
    )
    assert note.line(words=True) == "an arm, seed 0: step 2 of 4"
    assert note_of(tmp_path, run.key) is None and notes(tmp_path) == []


def test_a_note_that_is_damaged_or_cannot_be_written_stops_nothing(tmp_path):
    run = RunStore(tmp_path).open(CONFIG, "an arm")
    (tmp_path / ".now").write_text("a file where the folder should be")
    with telling(run, show=False) as tell:
        tell(1)
    (tmp_path / ".now").unlink()
    (tmp_path / ".now").mkdir()
    (tmp_path / ".now" / f"{run.key}.json").write_text('{"label":')
    assert notes(tmp_path) == []
