"""What runs take: a conductor pays a backward pass for each loss that it takes apart."""

import pytest
from tiny_study import BERTSWIN

from studykit.runs import effort

MVC = {"loss": "mvc", "loss_options": {"structure": "covariance", "sub_patch": 2}}


@pytest.fixture
def operations(tiny):
    """Of a step, by optimizer, and of one crop forward and forward with backward."""

    def count(optimizer, **options):
        study = tiny()
        arm = study.arm(optimizer, "bertswin", **BERTSWIN, **options, training={"optimizer": optimizer})
        forward, whole = (study.flops(arm, backward=way).total for way in (False, True))
        return study.operations_a_step(arm), forward, whole, study

    return count


@pytest.mark.parametrize("name", ["adamw", "sign-momentum", "gcond-single"])
def test_a_step_on_one_loss_is_a_batch_forward_and_backward(operations, name):
    of_step, forward, whole, study = operations(name, **MVC)
    assert of_step == study.profile.batch_size * whole
    assert forward < whole < 4 * forward


@pytest.mark.parametrize("name", ["gcond", "upgrad"])
def test_a_conductor_of_three_terms_pays_a_forward_and_three_backward_passes(operations, name):
    of_step, forward, whole, study = operations(name, **MVC)
    assert of_step == study.profile.batch_size * (forward + 3 * (whole - forward))


def test_a_conductor_of_one_term_pays_what_every_optimizer_pays(operations):
    of_step, _, whole, study = operations("gcond")
    assert of_step == study.profile.batch_size * whole


def test_the_clock_takes_every_backward_pass_too(tiny, monkeypatch):
    """No test of a time: the passes are counted."""
    import torch

    passes, backward = [], torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda *args, **keys: (passes.append(1), backward(*args, **keys))
    )
    study = tiny()
    for name, expected in (("adamw", 1), ("gcond", 3)):
        arm = study.arm(name, "bertswin", **BERTSWIN, **MVC, training={"optimizer": name})
        passes.clear()
        assert effort.seconds_a_step(study.trials.config(arm, 0)) > 0
        assert len(passes) == 2 * expected, "two passes are timed, the second counts"


def test_operations_along_a_curve_are_those_of_the_arms_optimizer(tiny):
    study = tiny(seeds=[0])
    arms = [
        study.arm(name, "bertswin", **BERTSWIN, **MVC, training={"optimizer": name, "lr": 1e-4})
        for name in ("sign-momentum", "gcond")
    ]
    ends = [study.curves(arm, [study.run(arm)], "flops")[0].x[-1] for arm in arms]
    assert ends == [study.profile.steps * study.operations_a_step(arm) for arm in arms]
    assert ends[1] > 1.5 * ends[0]
