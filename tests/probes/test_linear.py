"""The linear probe on classes whose separation is known."""

import numpy as np
import pytest

from studykit.probes.linear import linear_probe


def blobs(seed, counts=(60, 30, 10), gap=10.0, dim=5):
    """Normal clouds around the corners of a simplex, ``gap`` deviations apart."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), dim)) + gap * np.eye(len(counts), dim)[y], y


def test_classes_far_apart_are_all_found():
    score = linear_probe(*blobs(0), *blobs(1))
    assert score.balanced_accuracy == 1 and score.recall == {0: 1, 1: 1, 2: 1}
    assert score.chance == pytest.approx(1 / 3) and (score.n_train, score.n_test) == (100, 100)


def test_features_without_meaning_give_chance():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [2000, 300, 100])
    score = linear_probe(rng.normal(size=(2400, 4)), y, rng.normal(size=(2400, 4)), y)
    assert score.balanced_accuracy == pytest.approx(1 / 3, abs=0.06), (
        "a rare class weighs as much as a common one"
    )


def test_it_is_the_mean_over_classes_and_not_over_samples():
    x, y = blobs(0)
    test_x, test_y = blobs(1)
    test_x[test_y == 2] = x[y == 0][:10]
    score = linear_probe(x, y, test_x, test_y)
    assert score.recall == {0: 1, 1: 1, 2: 0} and score.balanced_accuracy == pytest.approx(2 / 3)


def test_scale_and_offset_of_a_feature_do_not_matter_nor_does_a_constant_one():
    sides = [blobs(0, gap=2.0), blobs(1, gap=2.0)]
    plain = linear_probe(*sides[0], *sides[1])
    moved = [(np.column_stack([x * [1, 100, 1e-3, 1, 1] + 7, np.full(len(x), 3.0)]), y) for x, y in sides]
    assert 0.5 < plain.balanced_accuracy < 1
    assert linear_probe(*moved[0], *moved[1]).balanced_accuracy == pytest.approx(
        plain.balanced_accuracy, abs=0.01
    )


def test_the_test_side_teaches_nothing():
    """The same test samples are scored alike whatever stands beside them."""
    train, (x, y) = blobs(0, gap=2.0), blobs(1, gap=2.0)
    far = np.full((10, 5), 1e3)
    alone = linear_probe(*train, x, y).recall
    joined = linear_probe(*train, np.concatenate([x, far]), np.concatenate([y, np.full(10, 2)])).recall
    assert (alone[0], alone[1]) == (joined[0], joined[1])


def test_samples_left_out_and_classes_of_one_side_do_not_count():
    (x, y), (test_x, test_y) = blobs(0), blobs(1)
    y[:5], test_y[test_y == 2] = -1, 7
    score = linear_probe(x, y, test_x, test_y)
    assert score.recall.keys() == {0, 1} and score.chance == 0.5
    assert (score.n_train, score.n_test) == (85, 90)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (lambda x, y: (x, y, x, y + 3), r"two classes that both sides have, they share \[\]"),
        (lambda x, y: (x, y, x[:, :2], y), "the same features, got 5 and 2"),
        (lambda x, y: (x, y[:-1], x, y), r"got shapes \(100, 5\) and \(99,\)"),
        (lambda x, y: (x, y / 2, x, y), "whole numbers.*float64"),
    ],
)
def test_what_does_not_fit_is_refused(sides, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(*sides(*blobs(0)))
