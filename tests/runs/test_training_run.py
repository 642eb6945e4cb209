"""One run from its configuration: what decides its numbers, what is refused, what it says of itself."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_run import OPTIONS, RECIPE, TRAINING, config
from tiny_study import BERTSWIN, write_head, write_heads

from studykit.data.sources import prepared_source
from studykit.losses.reconstruction import L2Loss
from studykit.methods.masked_reconstruction import MaskedAutoencoder
from studykit.models.mae_vit import MaskedAutoencoderViT
from studykit.runs import training_run
from studykit.runs.store import run_hash
from studykit.tasks.reconstruction import Recipe
from studykit.training.config import TrainingConfig

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
        ({"method": "dino"}, "Unknown method 'dino'. Known: .*bertswin.*mae"),
        ({"options": {**OPTIONS, "loss": "l1"}}, "Unknown loss 'l1'. Known: l2, mvc, phys"),
    ],
)
def test_unknown_names_list_the_known_ones(change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)


# ---- a run and its folder


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


def test_another_default_dtype_is_refused_by_name():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match=r"default dtype is torch\.float64, .*set_default_dtype"):
            training_run.work(None)
    finally:
        torch.set_default_dtype(before)
