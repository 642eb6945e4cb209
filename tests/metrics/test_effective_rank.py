"""Effective rank on features whose spectrum is known in closed form."""

import math

import numpy as np
import pytest
import torch

from studykit.metrics.effective_rank import DEFINITIONS, effective_rank, feature_matrix

ALL = sorted(DEFINITIONS)
CENTRED = ("bertswin", "covariance")


def exp_entropy(weights):
    p = np.asarray(weights, dtype=np.float64)
    p = p / p.sum()
    return math.exp(-(p * np.log(p)).sum())


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def with_spectrum(sigma, n, dim):
    """Centred (n, dim) features with the given singular values in a random basis."""
    k = len(sigma)
    columns = np.random.default_rng(1).normal(size=(n, k))
    left = np.linalg.qr(columns - columns.mean(0))[0]
    return left @ np.diag(sigma) @ rotation(dim)[:k]


def axis_pairs(lengths, copies=None):
    """Rows ±length·e_i, each pair ``copies[i]`` times: centred, every row along one axis."""
    copies = copies or [1] * len(lengths)
    rows = [length * np.eye(len(lengths))[i] for i, length in enumerate(lengths) for _ in range(copies[i])]
    return np.concatenate([rows, np.negative(rows)])


@pytest.mark.parametrize("definition", ALL)
def test_equal_orthogonal_directions_count_one_each(definition):
    assert effective_rank(axis_pairs([3.0] * 5), definition) == pytest.approx(5, rel=1e-4)


def test_uncentred_definitions_count_orthogonal_rows():
    rows = 2.5 * rotation(12)[:7]
    assert effective_rank(rows, "roy_vetterli") == pytest.approx(7, rel=1e-12)
    p = 1 / 7 + 1e-7
    assert effective_rank(rows, "rankme") == pytest.approx(math.exp(-7 * p * math.log(p)), rel=1e-12)
    assert effective_rank(rows, "covariance") == pytest.approx(6, rel=1e-12)


@pytest.mark.parametrize("definition", ["roy_vetterli", "rankme", "covariance"])
@pytest.mark.parametrize(("n", "dim"), [(40, 20), (20, 40)])
def test_rank_k_features_of_equal_strength_give_k(definition, n, dim):
    assert effective_rank(with_spectrum([2.0] * 6, n, dim), definition) == pytest.approx(6, rel=1e-4)


@pytest.mark.parametrize("n", [60, 12])
def test_power_law(n):
    sigma = np.arange(1, 11) ** -0.8
    features = with_spectrum(sigma, n, 30)
    assert effective_rank(features, "roy_vetterli") == pytest.approx(exp_entropy(sigma), rel=1e-10)
    assert effective_rank(features, "covariance") == pytest.approx(exp_entropy(sigma**2), rel=1e-10)
    p = np.concatenate([sigma / sigma.sum(), np.zeros(min(n, 30) - 10)]) + 1e-7
    expected = math.exp(-(p * np.log(p)).sum())
    assert effective_rank(features, "rankme") == pytest.approx(expected, rel=1e-10)


def test_the_released_definition_ignores_lengths_and_counts_directions():
    lengths, copies = [1.0, 10.0, 0.01], [4, 2, 1]
    features = axis_pairs(lengths, copies)
    p = np.array([4, 2, 1]) / 7 + 1e-10
    expected = math.exp(-(p * np.log(p)).sum())
    assert effective_rank(features, "bertswin") == pytest.approx(expected, rel=1e-12)
    strength = np.array(copies) * np.square(lengths)
    assert effective_rank(features, "covariance") == pytest.approx(exp_entropy(strength), rel=1e-10)


def test_the_released_definition_as_its_steps_spell_it():
    features = np.random.default_rng(0).normal(size=(25, 10)) * np.arange(1, 11) + 3
    x = features - features.mean(0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    p = np.linalg.eigvalsh(x.T @ x / 24)
    p = p / p.sum() + 1e-10
    assert effective_rank(features, "bertswin") == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-9)


def test_the_definitions_disagree_on_one_matrix():
    """An offset, unequal strengths and unequal lengths: no two definitions give the same number."""
    sigma = np.arange(1, 31) ** -1.5
    features = with_spectrum(sigma, 100, 40) + 0.5
    values = {name: effective_rank(features, name) for name in ALL}
    assert values["covariance"] == pytest.approx(exp_entropy(sigma**2), rel=1e-9)
    assert values["roy_vetterli"] < values["rankme"] < 1.5
    gaps = np.diff(sorted(values.values()))
    assert gaps.min() > 1e-6 and values["bertswin"] > 1.5 * values["covariance"]


@pytest.mark.parametrize("definition", ALL)
@pytest.mark.parametrize(("n", "dim"), [(30, 12), (12, 30)])
def test_invariances(definition, n, dim):
    rng = np.random.default_rng(3)
    features = rng.normal(size=(n, dim)) * rng.uniform(0.1, 3, dim) + 0.3
    value = effective_rank(features, definition)
    same = pytest.approx(value, rel=1e-9)
    assert 1 < value < min(n, dim)
    assert effective_rank(rng.permutation(features), definition) == same
    assert effective_rank(features @ rotation(dim), definition) == same
    assert effective_rank(1e-6 * features, definition) == same
    shifted = effective_rank(features + 5, definition)
    assert shifted == same if definition in CENTRED else shifted < 0.9 * value


@pytest.mark.parametrize("definition", ALL)
def test_constant_features(definition):
    constant = np.tile(np.random.default_rng(0).normal(size=8), (7, 1))
    expected = 0.0 if definition in CENTRED else 1.0
    assert effective_rank(constant, definition) == pytest.approx(expected, abs=1e-4)
    assert effective_rank(np.zeros((7, 8)), definition) == 0.0


@pytest.mark.parametrize("definition", ALL)
def test_tiny_and_huge_features_are_as_good_as_any(definition):
    features = with_spectrum([3.0, 2.0, 1.0], 20, 10)
    value = effective_rank(features, definition)
    for scale in (1e-100, 1e100):
        assert effective_rank(scale * features, definition) == pytest.approx(value, rel=1e-6)


def test_small_singular_values_are_not_lost_in_rounding():
    """Squared in a Gram matrix, the smallest of these would drown at 1e-8 of the largest."""
    sigma = 10.0 ** -np.arange(0, 12)
    features = with_spectrum(sigma, 40, 30)
    p = sigma / sigma.sum()
    assert math.log(effective_rank(features, "roy_vetterli")) == pytest.approx(
        -(p * np.log(p)).sum(), abs=1e-10
    )
    assert effective_rank(features, "covariance") == pytest.approx(exp_entropy(sigma**2), rel=1e-10)


def test_tensors_of_any_precision_are_taken():
    features = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exact = effective_rank(features.detach().numpy())
    assert effective_rank(features) == exact
    assert effective_rank(features.bfloat16()) == pytest.approx(exact, rel=1e-2)
    assert isinstance(exact, float)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"Unknown definition 'rank'.*Known: bertswin, roy_vetterli"):
        effective_rank(np.eye(3), "rank")
    with pytest.raises(ValueError, match=r"\(n, dim\), got shape \(2, 3, 4\); pool tokens first"):
        effective_rank(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"at least 2 rows and 1 column, got shape \(1, 4\)"):
        feature_matrix(np.zeros((1, 4)))
    features = np.ones((4, 3))
    features[1] = np.nan
    features[2, 0] = np.inf
    with pytest.raises(ValueError, match="2 of 4 rows"):
        effective_rank(features)


def test_every_definition_says_how_it_is_read():
    for meaning in DEFINITIONS.values():
        assert any(word in meaning for word in ("higher", "lower", "neither", "no reading"))
