"""Features at a kept step are those of the weights of that step, on whole crops."""

import pytest
import torch
from tiny_study import BERTSWIN, MAE

from studykit.probes.features import pooled_features, token_features
from studykit.runs.weights import kept_steps, method_at


@pytest.fixture
def trained(tiny):
    study = tiny()
    arm = study.arm("MAE-ViT", "mae", **MAE)
    run = study.run(arm)
    return study, run, study.held_out(study.untrained(arm))[0]


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


def test_features_are_means_of_the_tokens_whatever_the_batch(trained):
    _, run, crops = trained
    method = method_at(run, 4)
    tokens, pooled = token_features(method, crops), pooled_features(method, crops, batch_size=3)
    assert tokens.shape == (4, 64, 48) and pooled.shape == (4, 48) and not tokens.requires_grad
    torch.testing.assert_close(pooled, tokens.mean(1))
    torch.testing.assert_close(token_features(method, crops, batch_size=1), tokens)


def test_normalised_features_do_not_change_with_the_tokens_scale(trained):
    _, run, crops = trained

    class Scaled(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.method, self.factor = method_at(run, 4), factor

        def encode(self, volume):
            return self.factor * self.method.encode(volume)

    plain, large = Scaled(1.0), Scaled(50.0)
    torch.testing.assert_close(
        *[pooled_features(method, crops, normalised=True) for method in (plain, large)], rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(50 * pooled_features(plain, crops), pooled_features(large, crops))
