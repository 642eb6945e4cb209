"""Training settings are checked before any work."""

import json
from dataclasses import asdict

import pytest
from toy_training import config

from studykit.training.config import OPTIMIZERS, TrainingConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0, it must be a whole number of at least 1"),
        ({"batch_size": 2.0}, "batch_size is 2.0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"eval_every": 0}, "eval_every is 0"),
        ({"checkpoint_every": -1}, "checkpoint_every is -1"),
        ({"warmup_steps": 12}, r"warmup_steps is 12, it must be .* from 0 to steps - 1 = 11"),
        ({"lr": 0.0}, "lr is 0.0, it must be above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"min_lr": 1.0}, "min_lr is 1.0, it must be between 0 and lr = 0.01"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"weight_decay_end": 0.0}, "weight_decay_end is 0.0, it must be None, or above 0"),
        (
            {"weight_decay_end": 0.4, "weight_decay": 0.0},
            "weight_decay_end is 0.4, it must be None, or above",
        ),
        ({"betas": (0.9, 1.0)}, "betas is"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"precision": "fp16"}, "precision is 'fp16', it must be one of fp32, bf16"),
        ({"optimizer": "lion"}, "optimizer is 'lion', it must be one of adamw, sign-momentum, gcond, "),
        ({"norm_start": 1.0}, "norm_start is 1.0, it must be None, or above 0 with the optimizer gcond"),
        ({"trust_clip": 0.0}, "trust_clip is 0.0, it must be above 0"),
        ({"optimizer": "gcond"}, "weight_decay is 0.05, it must be 0 with gcond: only adamw has one"),
    ],
)
def test_impossible_values_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_survives_json() -> None:
    settings = config(betas=(0.9, 0.99), clip_norm=None)
    assert TrainingConfig.from_dict(json.loads(json.dumps(asdict(settings)))) == settings


def test_unknown_and_missing_names_list_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"unknown learning_rate; missing lr\. Known: steps, batch_size, lr, "
    ):
        TrainingConfig.from_dict(
            {"steps": 1, "batch_size": 1, "learning_rate": 1.0, "eval_every": 1, "checkpoint_every": 1}
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_taken_without_weight_decay(name: str) -> None:
    assert config(optimizer=name, weight_decay=0.0).optimizer == name


def test_settings_that_came_later_are_no_part_of_the_identity_at_their_default() -> None:
    later = {"optimizer", "trust_clip", "keep_best", "weight_decay_end", "norm_start"}
    settings = config()
    assert settings.identity() == {k: v for k, v in asdict(settings).items() if k not in later}
    assert asdict(settings).keys() >= later


def test_settings_that_came_later_are_part_of_it_elsewhere() -> None:
    conducted = config(optimizer="gcond", weight_decay=0.0)
    assert conducted.identity().keys() - config().identity().keys() == {"optimizer"}
    assert config(trust_clip=50.0).identity()["trust_clip"] == 50.0
    assert config(keep_best=True).identity()["keep_best"] is True
    assert config(weight_decay_end=0.4).identity()["weight_decay_end"] == 0.4
    assert TrainingConfig.from_dict(conducted.identity()) == conducted
    published = config(optimizer="gcond", weight_decay=0.0, norm_start=1.0)
    assert published.identity()["norm_start"] == 1.0
