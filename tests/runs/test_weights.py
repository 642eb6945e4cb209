"""The network of a run: as its seed makes it, at its kept steps, at its end."""

from types import SimpleNamespace

import pytest
import torch
from tiny_run import config
from tiny_study import BERTSWIN, MAE

from studykit.probes.features import pooled_features, token_features
from studykit.runs import weights
from studykit.runs.store import RunStore
from studykit.runs.weights import kept_steps, method_at, new_method, trained_method
from studykit.study import scores


@pytest.fixture
def trained(tiny):
    study = tiny()
    arm = study.arm("MAE-ViT", "mae", **MAE)
    run = study.run(arm)
    return study, run, study.held_out(study.untrained(arm))[0]


def test_a_method_follows_its_seed_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (new_method(config(init_seed=seed)).model.head.weight for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_a_trained_method_has_the_last_weights_in_evaluation_mode(small):
    own = config(recipe=small.recipe)
    run = small.execute(own)
    method, fresh = trained_method(run), new_method(own)
    assert not method.training
    moved = [not torch.equal(a, b) for a, b in zip(method.parameters(), fresh.parameters(), strict=True)]
    assert any(moved)
    saved = torch.load(run.folder / "checkpoint.pt", weights_only=True)["state"]["method"]
    assert all(torch.equal(value, saved[name]) for name, value in method.state_dict().items())


def test_a_run_without_a_checkpoint_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing yet has no checkpoint \(not run yet\)"):
        trained_method(RunStore(tmp_path).open(config(), "nothing yet"))


def test_a_run_keeps_its_steps_and_the_last_is_its_checkpoint(trained):
    study, run, crops = trained
    assert kept_steps(run) == (2, 4)
    at_end, saved = method_at(run, 4), study.method_of(run)
    assert not at_end.training
    assert torch.equal(token_features(at_end, crops), token_features(saved, crops))
    stages = [pooled_features(method_at(run, step), crops) for step in (0, 2, 4)]
    assert not torch.equal(stages[0], stages[1]) and not torch.equal(stages[1], stages[2])
    assert torch.equal(stages[0], pooled_features(study.untrained("MAE-ViT"), crops))


def test_a_step_that_was_not_kept_is_refused(trained):
    _, run, _ = trained
    with pytest.raises(FileNotFoundError, match=r"seed 0 kept no weights of step 3\. Steps kept: 2, 4\."):
        method_at(run, 3)


def test_a_run_that_kept_nothing_says_so(tiny):
    study = tiny()
    arm = study.arm("BertsWin", "bertswin", **BERTSWIN, training={"snapshot_every": None})
    run = study.run(arm)
    assert kept_steps(run) == ()
    with pytest.raises(FileNotFoundError, match="Steps kept: none"):
        method_at(run, 4)


def test_a_method_goes_where_it_is_asked_to(tmp_path, monkeypatch):
    run = SimpleNamespace(config={}, folder=tmp_path, label="a run")
    (tmp_path / weights.BEST).touch()
    monkeypatch.setattr(weights, "new_method", lambda config: torch.nn.Linear(2, 2, device="cpu"))
    state = torch.nn.Linear(2, 2).state_dict()
    monkeypatch.setattr(weights, "last_weights", lambda run: state)
    monkeypatch.setattr(weights, "load_weights", lambda path: (state, {}))
    for get in (weights.trained_method, weights.best_method):
        assert get(run).weight.device.type == "cpu"
        assert get(run, "meta").weight.device.type == "meta" and not get(run, "meta").training


def test_scores_take_networks_to_the_card_where_there_is_one(monkeypatch):
    monkeypatch.setattr(scores, "best_method", lambda run, device: (run, device.type))
    for here, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda here=here: here)
        assert scores._best("a run") == ("a run", device)
