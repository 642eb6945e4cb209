"""Two looks err as often as one: against published bounds and by simulation."""

import numpy as np
import pytest

from studykit.claims.looks import obrien_fleming


def test_the_published_bounds():
    """Jennison and Turnbull 2000, table 2.3: C = 1.977 for two looks at 5 %, so |Z| of 2.797 and 1.977."""
    first, second = obrien_fleming((5, 10))
    assert first == pytest.approx(0.00516, abs=2e-5) and second == pytest.approx(0.0480, abs=2e-4)
    assert obrien_fleming((8,)) == (0.05,)


@pytest.mark.parametrize("looks", [(5, 10), (4, 12)])
def test_both_looks_together_err_at_the_level(looks):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200_000, looks[1]))
    levels = obrien_fleming(looks)
    found = np.zeros(len(values), bool)
    for n, level in zip(looks, levels, strict=True):
        from scipy.special import ndtri

        found |= np.abs(values[:, :n].sum(axis=1) / n**0.5) > -ndtri(level / 2)
    assert found.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("looks", [(), (10, 5), (5, 5), (5, 10, 15), (1, 4)])
def test_other_plans_are_refused(looks):
    with pytest.raises(ValueError, match="one or two increasing numbers"):
        obrien_fleming(looks)
