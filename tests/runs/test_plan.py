"""A dry run: what a study would train is told, nothing is trained, and no evidence is touched."""

import pytest
from tiny_study import BERTSWIN, MAE

from studykit import home
from studykit.runs.plan import DryRun, needs, read_plans
from studykit.study import trials


@pytest.fixture
def dry(tiny, tmp_path, monkeypatch):
    """Opens the tiny study in a dry run."""
    folder = tmp_path / "dry"
    folder.mkdir()
    monkeypatch.setenv(home.DRY_RUN, str(folder))
    monkeypatch.setattr(trials, "LIVE", set())
    return folder, tiny


def test_the_first_training_is_told_and_not_begun(dry, results):
    folder, tiny = dry
    study = tiny()
    arms = study.arm("MAE-ViT", "mae", **MAE), study.arm("BertsWin", "bertswin", **BERTSWIN)
    with pytest.raises(DryRun, match="nothing was trained"):
        study.tune_all(arms)
    rows = read_plans(folder)
    assert [(row["arm"], row["steps to do"]) for row in rows] == [("MAE-ViT", 12), ("BertsWin", 12)]
    assert all(row["study"] == study.name and row["minutes"] > 0 for row in rows)
    assert all(row["memory (MB)"] > 0 and row["disk (MB)"] > 0 for row in rows)
    assert not study.trials.store.list()
    assert study.folder.is_relative_to(folder) and not list(results.rglob("split.json"))


def test_what_is_done_is_no_part_of_a_plan(dry, tiny, monkeypatch):
    folder, _ = dry
    with monkeypatch.context() as patch:
        patch.delenv(home.DRY_RUN)
        study = tiny()
        arm = study.arm("MAE-ViT", "mae", **MAE)
        run = study.run(arm)
    assert study.run(arm).key == run.key, "it is found, not planned"
    with pytest.raises(DryRun):
        study.run_all([arm])
    (row,) = read_plans(folder)
    assert row["steps to do"] == 2 * 2 + 4


def test_disk_is_what_a_checkpoint_and_snapshots_of_a_run_take(tiny):
    study = tiny(seeds=[0])
    run = study.run(study.arm("MAE-ViT", "mae", **MAE))
    files = sum(
        path.stat().st_size for path in run.folder.rglob("*") if path.suffix in (".pt", ".safetensors")
    )
    assert needs(run)["disk (MB)"] == pytest.approx(files / 1e6, rel=0.2)
