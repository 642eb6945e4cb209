"""Features with a known spectrum have the rank that the entropy of the spectrum gives."""

import numpy as np
import pytest

from studykit.metrics.effective_rank import effective_rank
from studykit.studies.effective_rank.known_spectra import entropy_rank, known_spectrum


@pytest.mark.parametrize("lengths", [np.ones(5), 0.5 ** np.arange(5), np.arange(1.0, 4.0)])
def test_the_rank_of_singular_values_is_their_entropy(lengths):
    found = effective_rank(known_spectrum(lengths), "roy_vetterli")
    assert found == pytest.approx(entropy_rank(lengths), rel=1e-9)


def test_copies_count_as_variance_and_an_offset_moves_all():
    often = np.array([4, 2, 1])
    assert effective_rank(known_spectrum(np.ones(3), often), "covariance") == pytest.approx(
        entropy_rank(often)
    )
    assert known_spectrum(np.ones(3), often, offset=2.0).mean() == pytest.approx(2.0)
