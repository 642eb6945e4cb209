"""Arms: the rates that each is tuned over, the settings that it trains with, the loss that picks its rate."""

from types import SimpleNamespace

import pandas as pd
import pytest
from tiny_study import tiny_profile

from studykit.arms.arm import Arm
from studykit.arms.tuning import candidate_rates, training_of, tuned

SIZES = tiny_profile()


def test_rates_are_the_profiles_times_the_arms_scale():
    assert candidate_rates(Arm("a", "mae"), SIZES) == SIZES.learning_rates == (1e-3, 3e-3)
    assert candidate_rates(Arm("a", "mae", rate_scale=0.01), SIZES) == (1e-5, 3e-5)


def test_rates_are_as_written_without_rounding_of_their_product():
    """Products such as 0.1 * 3e-3 have a tail; a rate is part of a run's identity."""
    assert [str(rate) for rate in candidate_rates(Arm("a", "mae", rate_scale=0.1), SIZES)] == [
        "0.0001",
        "0.0003",
    ]


def test_an_arm_trains_as_the_profile_says_but_for_its_own_changes():
    plain = training_of(Arm("a", "mae"), SIZES, tuning=False)
    assert (plain.steps, plain.batch_size, plain.lr, plain.warmup_steps) == (4, 2, 1e-3, 1)
    assert (plain.optimizer, plain.weight_decay, plain.clip_norm, plain.snapshot_every) == (
        "adamw",
        0.05,
        1.0,
        2,
    )
    own = training_of(Arm("a", "mae", training={"clip_norm": 0.5, "lr": 2e-3}), SIZES, tuning=False)
    assert (own.clip_norm, own.lr, own.weight_decay) == (0.5, 2e-3, 0.05)


@pytest.mark.parametrize("name", ["sign-momentum", "gcond", "gcond-single", "upgrad"])
def test_sign_momentum_has_neither_weight_decay_nor_a_limit_on_the_gradient(name):
    arm = Arm("a", "mae", training={"optimizer": name}, rate_scale=0.01)
    training = training_of(arm, SIZES, tuning=False)
    assert (training.optimizer, training.weight_decay, training.clip_norm, training.lr) == (
        name,
        0.0,
        None,
        1e-5,
    )
    limited = Arm("a", "mae", training={"optimizer": name, "clip_norm": 2.0})
    assert training_of(limited, SIZES, tuning=False).clip_norm == 2.0


def test_a_tuning_run_keeps_no_weights_and_has_steps_of_its_own():
    training = training_of(Arm("a", "mae"), SIZES, tuning=True)
    assert (training.steps, training.snapshot_every, training.eval_every) == (2, None, 2)


def trial(rate, state="done", **values):
    metrics = pd.DataFrame({f"val/{name}": [9.0, value] for name, value in values.items()})
    return SimpleNamespace(state=state, config={"training": {"lr": rate}}, metrics=metrics)


def test_the_lowest_error_at_the_end_picks_the_rate():
    arm, table = tuned(
        Arm("a", "mae", training={"clip_norm": 2.0}), [trial(1e-3, error=0.4), trial(3e-3, error=0.3)]
    )
    assert arm.training == {"clip_norm": 2.0, "lr": 3e-3}
    assert table.to_dict("list") == {
        "arm": ["a", "a"],
        "learning rate": [1e-3, 3e-3],
        "error": [0.4, 0.3],
        "state": ["done", "done"],
    }


def test_an_arm_is_tuned_by_its_own_loss():
    runs = [
        trial(1e-3, error=0.3, brightness=1.0, decorrelation=0.5),
        trial(3e-3, error=0.4, brightness=2.0, decorrelation=0.1),
    ]
    by_error, by_loss = (
        tuned(Arm("a", "mae", tuned_by=of), runs)
        for of in ({"error": 1.0}, {"brightness": 0.3, "decorrelation": 1.0})
    )
    assert (by_error[0].training["lr"], by_loss[0].training["lr"]) == (1e-3, 3e-3)
    assert by_loss[1]["error"].tolist() == pytest.approx([0.8, 0.7])


def test_a_rate_that_diverged_loses_and_where_all_did_the_first_is_taken():
    wild = trial(1e-3, "diverged", error=0.1)
    arm, table = tuned(Arm("a", "mae"), [wild, trial(3e-3, error=0.3)])
    assert arm.training["lr"] == 3e-3 and table["error"].iloc[0] == float("inf")
    assert tuned(Arm("a", "mae"), [wild, trial(3e-3, "diverged", error=0.3)])[0].training["lr"] == 1e-3
