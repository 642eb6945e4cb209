"""The attentive probe finds what one token holds and the mean does not, learns from one side, by a seed."""

import numpy as np
import pytest
import torch

from studykit.probes.attentive import attentive_probe
from studykit.probes.linear import linear_probe


def hidden_in_one_token(seed, count=120, tokens=12, dim=8):
    """Noise; one token, marked in feature 0, holds the class in feature 1, and the others take it back."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.randn(count, tokens, dim, generator=generator)
    y = np.arange(count) % 2
    sign = torch.from_numpy(2.0 * y - 1).float()
    places = torch.randint(tokens, (count,), generator=generator)
    x[..., 1] -= x[..., 1].mean(dim=1, keepdim=True) + sign[:, None] * 2 / (tokens - 1)
    rows = torch.arange(count)
    x[rows, places, 0] += 4
    x[rows, places, 1] += sign * 2 + sign * 2 / (tokens - 1)
    return x, y, places


def test_it_finds_the_token_that_tells_where_the_mean_tells_nothing():
    (x, y, _), (other, truth, places) = hidden_in_one_token(0), hidden_in_one_token(1)
    assert x[..., 1].mean(dim=1).abs().max() < 1e-5
    pooled = linear_probe(x.mean(dim=1), y, other.mean(dim=1), truth)
    assert pooled.balanced_accuracy < 0.7
    found = attentive_probe(x, y, other, seed=0)
    assert found.classes == (0, 1) and found.scores.dtype == np.float32
    assert (found.scores.argmax(1) == truth).mean() > 0.95
    assert (found.attention.argmax(1) == places.numpy()).mean() > 0.5, "one in twelve by chance"
    np.testing.assert_allclose(found.scores.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.attention.sum(1), 1, rtol=1e-5)


def test_the_seed_decides_and_the_test_side_teaches_nothing():
    (x, y, _), (other, _, _) = hidden_in_one_token(0), hidden_in_one_token(1)
    one = attentive_probe(x, y, other, seed=0, steps=40)
    torch.rand(3)
    again = attentive_probe(x, y, other[:5], seed=0, steps=40)
    np.testing.assert_allclose(again.scores, one.scores[:5], rtol=1e-5)
    assert not np.allclose(attentive_probe(x, y, other, seed=1, steps=40).scores, one.scores)


def test_of_labels_without_meaning_an_early_step_is_taken():
    x = torch.randn(40, 6, 30, generator=torch.Generator().manual_seed(0))
    y = np.arange(40) % 2
    found = attentive_probe(x, y, x, seed=0)
    assert found.step <= 60 and found.validation_loss > 0.5


def test_unlabelled_samples_scale_and_a_constant_feature_do_not_count():
    (x, y, _), (other, _, _) = hidden_in_one_token(0), hidden_in_one_token(1)
    plain = attentive_probe(x, y, other, seed=0, steps=40)
    more = torch.cat([x, torch.full_like(x[:4], 1e3)])
    unlabelled = attentive_probe(more, np.concatenate([y, [-1] * 4]), other, seed=0, steps=40)
    np.testing.assert_allclose(unlabelled.scores, plain.scores, rtol=1e-5)
    scaled = attentive_probe(100 * x + 3, y, 100 * other + 3, seed=0, steps=40)
    np.testing.assert_allclose(scaled.scores, plain.scores, rtol=1e-2)
    flat = x.clone()
    flat[..., 5] = 2.0
    assert np.isfinite(attentive_probe(flat, y, other, seed=0, steps=10).scores).all()


def test_subjects_are_held_out_whole():
    x, y, _ = hidden_in_one_token(0, count=12)
    who = np.repeat(["a", "b", "c", "d"], 3)
    of_subject = np.repeat([0, 1, 0, 1], 3)
    assert attentive_probe(x, of_subject, x, seed=0, subjects=who, steps=10).classes == (0, 1)
    with pytest.raises(ValueError, match="subject a has samples of two classes"):
        attentive_probe(x, y, x, seed=0, subjects=who)
    with pytest.raises(ValueError, match="class 0 has one subject"):
        attentive_probe(x, np.repeat([0, 1], [3, 9]), x, seed=0, subjects=who)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_y": np.zeros(12, int)}, r"two classes, got \[0\]"),
        ({"train_y": np.zeros(11, int)}, "n whole numbers"),
        ({"train_y": np.zeros(12)}, "float64"),
        ({"train_x": torch.zeros(12, 8)}, r"tokens \(n, T, dim\)"),
        ({"test_x": torch.zeros(3, 4, 7)}, r"must be \(n, T, 8\), got \(3, 4, 7\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    x, y, _ = hidden_in_one_token(0, count=12)
    with pytest.raises(ValueError, match=words):
        attentive_probe(**{"train_x": x, "train_y": y, "test_x": x, "seed": 0, **changes})
