"""A study as a notebook holds it: names that it does not know, arms that changed, curves, one on another."""

import subprocess
import sys

import pytest
from tiny_study import two_arms

from studykit.arms.arm import Arm
from studykit.claims.estimate import Estimate
from studykit.report.record import read_verdicts
from studykit.study import open_study


def test_an_unknown_arm_or_axis_lists_the_known_ones(tiny):
    study = tiny()
    with pytest.raises(ValueError, match=r"Unknown arm 'MAE'\. Known: none yet"):
        study.run("MAE")
    two_arms(study)
    with pytest.raises(ValueError, match=r"Unknown arm 'MAE'\. Known: MAE-ViT, BertsWin"):
        study.run_all(["MAE"])
    with pytest.raises(ValueError, match=r"Unknown arm 'own'"):
        study.run(Arm("own", "mae"))
    with pytest.raises(ValueError, match=r"Unknown axis 'epochs'\. Known: steps, flops, seconds"):
        study.curves("MAE-ViT", [], "epochs")


def test_an_arm_that_was_tuned_or_named_again_is_not_mistaken_for_its_successor(tiny):
    study = tiny()
    before, _ = two_arms(study)
    after, _ = study.tune(before)
    with pytest.raises(ValueError, match="'MAE-ViT' is not what it was when this one was made"):
        study.run(before)
    assert study.untrained(after).grid == study.untrained("MAE-ViT").grid


def test_curves_count_steps_operations_and_seconds(tiny):
    study = tiny()
    arm, other = two_arms(study)
    run = study.run(arm)
    steps, flops, seconds = (study.curves(arm, [run], x)[0] for x in ("steps", "flops", "seconds"))
    assert steps.x.tolist() == [0, 2, 4]
    a_step = study.flops(arm, backward=True).total * study.profile.batch_size
    assert flops.x.tolist() == [0, 2 * a_step, 4 * a_step]
    assert seconds.x.tolist() == run.metrics["seconds"].tolist()
    assert steps.error.tolist() == run.metrics["val/error"].tolist()
    assert study.flops(arm).total < study.flops(arm, backward=True).total
    assert study.flops(arm).total != study.flops(other).total


def test_a_study_that_rests_on_another_states_its_data_and_cost(tiny, results):
    other = tiny("laptop")
    other.run(two_arms(other)[0])
    study = open_study("effective-rank", "laptop")
    study.rest_on(other)
    study.conclude("bertswin/effective-rank-contrast", Estimate(1.5, 1.2, 1.9, 5, "reduced-scale"))
    (record,) = read_verdicts(study.folder)
    assert record.cost == other.cost() and record.cost.flops > 0
    assert record.n_cases == len(other.split.test)
    source, _, words = record.data.partition(" at ")
    assert other.source.endswith(source.removeprefix("folder:")) and "held-out subjects" in words
    assert not (study.folder / "split.json").exists()


def test_networks_run_on_a_card_where_there_is_one(tiny, monkeypatch):
    study = tiny()
    for here, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda here=here: here)
        assert study.device == device


def test_what_notebooks_begin_with_draws_nothing_and_needs_no_notebook():
    """So that the package, without the extra of notebooks, opens studies from Python."""
    code = "import sys, studykit.study as s; print(all(map(s.__dict__.get, s.__all__)), *sys.modules)"
    said, *modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said == "True" and not {"matplotlib", "IPython", "monai", "PIL"} & set(modules)
