"""Features at a kept step are those of the weights of that step, on whole crops."""

import pytest
import torch
from tiny_study import MAE

from studykit.probes.features import pooled_features, token_features
from studykit.runs.weights import method_at


@pytest.fixture
def trained(tiny):
    study = tiny()
    arm = study.arm("MAE-ViT", "mae", **MAE)
    run = study.run(arm)
    return study, run, study.held_out(study.untrained(arm))[0]


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
