"""One run from its configuration: what decides its numbers, and what is measured on held-out crops."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny_study import BERTSWIN, MAE, write_head, write_heads
from torch import nn

from studykit.data.prepared import prepared_source
from studykit.data.splits import split_subjects
from studykit.losses.reconstruction import L2Loss
from studykit.methods.masked_reconstruction import MaskedAutoencoder
from studykit.models.mae_vit import MaskedAutoencoderViT
from studykit.runs import training_run
from studykit.runs.store import RunStore, run_hash
from studykit.runs.training_run import run_config
from studykit.runs.weights import new_method, trained_method
from studykit.tasks import reconstruction
from studykit.tasks.reconstruction import Recipe, hidden_error, hidden_parts, paint
from studykit.training.config import TrainingConfig

RECIPE = Recipe("folder:x", "f" * 64, 4.0, 16, ("ada", "ben"), ("cleo",), 2, 11)
TRAINING = TrainingConfig(steps=4, batch_size=2, lr=1e-3, eval_every=2, checkpoint_every=2)
OPTIONS = {"img_size": 16, "patch_size": 4, **MAE}


def config(**changes):
    settings = {"method": "mae", "options": OPTIONS, "recipe": RECIPE, "training": TRAINING}
    settings |= {"init_seed": 1, "training_seed": 2, **changes}
    return run_config(
        settings.pop("method"), settings.pop("options"), settings.pop("recipe"), settings.pop("training"),
        **settings,
    )  # fmt: skip


@pytest.fixture
def small(results, heads):
    """A run on the small heads, executed by hand: gives (config, execute)."""
    prepared = prepared_source(f"folder:{heads}", 4.0)
    split = split_subjects([v.subject for v in prepared.volumes], seed=0, val=1, test=0.3)
    recipe = replace(
        RECIPE, source=f"folder:{heads}", fingerprint=prepared.fingerprint, train=split.train,
        held_out=split.test,
    )  # fmt: skip
    store = RunStore(results / "runs")
    return SimpleNamespace(
        recipe=recipe,
        prepared=prepared,
        execute=lambda own: store.execute(own, "a run", lambda run: training_run.work(run)),
    )


# ---- identity


def test_everything_that_decides_the_numbers_moves_the_hash():
    changes = [
        {},
        {"method": "bertswin", "options": {"img_size": 16, "patch_size": 4, **BERTSWIN}},
        {"options": {**OPTIONS, "mask_ratio": 0.5}},
        {"recipe": replace(RECIPE, fingerprint="0" * 64)},
        {"recipe": replace(RECIPE, train=("ada",))},
        {"recipe": replace(RECIPE, validation_seed=12)},
        {"training": replace(TRAINING, lr=2e-3)},
        {"training": replace(TRAINING, steps=5)},
        {"init_seed": 3},
        {"training_seed": 3},
    ]
    assert len({run_hash(config(**change)) for change in changes}) == len(changes)


@pytest.mark.parametrize("owner", [MaskedAutoencoder, MaskedAutoencoderViT, L2Loss, Recipe, TrainingConfig])
def test_a_raised_version_moves_the_hash(owner, monkeypatch):
    before = run_hash(config())
    monkeypatch.setattr(owner, "version", owner.version + 1)
    assert run_hash(config()) != before


def test_a_raised_preparation_version_moves_the_hash(monkeypatch):
    before = run_hash(config())
    monkeypatch.setattr(training_run, "PREPARATION_VERSION", training_run.PREPARATION_VERSION + 1)
    assert run_hash(config()) != before


def test_the_configuration_is_plain_json_and_builds_the_same_again():
    plain = json.loads(json.dumps(config()))
    assert run_hash(plain) == run_hash(config())
    recipe, training = Recipe(**plain["data"]), TrainingConfig.from_dict(plain["training"])
    assert run_hash(config(recipe=recipe, training=training)) == run_hash(config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "simclr"}, "Unknown method 'simclr'. Known: .*bertswin.*mae"),
        ({"options": {**OPTIONS, "loss": "l1"}}, "Unknown loss 'l1'. Known: l2, mvc, phys"),
    ],
)
def test_unknown_names_list_the_known_ones(change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)


# ---- initialisation


def test_a_method_follows_its_seed_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (new_method(config(init_seed=seed)).model.head.weight for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, same) and not torch.equal(first, other)


# ---- the held-out error


class Adds(nn.Module):
    """Its reconstruction is off by ``offset`` in hidden patches, and by far more in visible ones."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def reconstruct(self, volume, mask):
        hidden = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, None]
        ramp = torch.arange(volume.shape[-1], dtype=volume.dtype)
        return volume + torch.where(hidden, self.offset + ramp, 100.0)


def test_hidden_error_by_hand():
    crops = torch.randn(3, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    masks[0, 0, 0, 0] = True  # hides x = 0, 1: offsets 2, 3
    masks[1, :, :, 1] = True  # hides x = 2, 3: offsets 4, 5
    masks[2] = True  # hides all
    expected = torch.tensor([(4 + 9) / 2, (16 + 25) / 2, (4 + 9 + 16 + 25) / 4])
    for batch_size in (1, 2, 5):
        painted = paint(Adds(2.0), crops, masks, batch_size)
        torch.testing.assert_close(hidden_error(painted, crops, masks), expected)


def test_the_validation_error_is_the_mean_over_subjects_of_their_crops(small):
    run = small.execute(config(recipe=small.recipe))
    last = run.metrics.iloc[-1]
    method = trained_method(run)
    crops, subjects = reconstruction.held_out_crops(small.prepared, small.recipe)
    masks = reconstruction.held_out_masks(method, small.recipe, len(crops))
    errors = hidden_error(paint(method, crops, masks, 2), crops, masks)
    assert subjects == [name for name in small.recipe.held_out for _ in range(2)]
    by_subject = {
        name: errors[[i for i, s in enumerate(subjects) if s == name]].mean().item() for name in set(subjects)
    }
    for name, error in by_subject.items():
        assert last[f"val/error/{name}"] == pytest.approx(error, rel=1e-5)
    assert last["val/error"] == pytest.approx(sum(by_subject.values()) / len(by_subject), rel=1e-5)


def test_the_parts_of_the_error_add_up_to_it(small):
    method = new_method(config(recipe=small.recipe))
    crops, _ = reconstruction.held_out_crops(small.prepared, small.recipe)
    masks = reconstruction.held_out_masks(method, small.recipe, len(crops))
    painted = paint(method, crops, masks, 2)
    parts = hidden_parts(painted, crops, masks)
    together = parts["brightness"] + parts["contrast"] + parts["structure"]
    assert together == pytest.approx(hidden_error(painted, crops, masks).mean().item(), rel=1e-4)
    assert 0 <= parts["decorrelation"] <= 2


# ---- a run and its folder


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


def test_a_run_says_what_it_ran_on(small):
    run = small.execute(config(recipe=small.recipe))
    facts = json.loads((run.folder / training_run.PROVENANCE).read_text(encoding="utf-8"))
    assert {"commit", "dirty", "hardware", "packages"} <= facts.keys()
    assert facts["device"] in ("cpu", "cuda") and facts["devices"] >= 1


def test_volumes_that_changed_since_the_configuration_are_refused(small, tmp_path):
    folder = write_heads(tmp_path / "own")
    recipe = replace(
        small.recipe, source=f"folder:{folder}",
        fingerprint=prepared_source(f"folder:{folder}", 4.0).fingerprint,
    )  # fmt: skip
    assert recipe.fingerprint == small.recipe.fingerprint, "the same volumes elsewhere are the same"
    write_head(folder / "ada.nii", seed=99)
    with pytest.raises(ValueError, match="holds other volumes than this run was configured for"):
        small.execute(config(recipe=recipe))
