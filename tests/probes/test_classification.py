"""The probe of whole volumes' features."""

import numpy as np
import pytest

from studykit.probes.classification import probe_scores


def test_a_probe_finds_what_a_feature_holds_and_only_the_training_side_is_fitted():
    rng = np.random.default_rng(0)
    known = np.arange(40) % 2
    x = rng.standard_normal((40, 3))
    x[:, 1] += 4 * known
    test = np.array([[0.0, -2, 0], [0.0, 6, 0]])
    low, high = probe_scores(x, known, test)
    assert low < 0.1 and high > 0.9
    assert np.allclose(probe_scores(100 * x + 7, known, 100 * test + 7), [low, high], atol=1e-6)
    with pytest.raises(ValueError, match="needs both"):
        probe_scores(x, 0 * known, test)
