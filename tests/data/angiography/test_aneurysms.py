"""Sacs: their size, that they sit on the artery of their site, and on its side."""

import numpy as np
import pytest

from studykit.data.angiography.aneurysms import place_aneurysm
from studykit.data.angiography.sites import SITES
from studykit.data.angiography.vessel_trees import grow_ring


@pytest.mark.parametrize("site", SITES)
def test_a_sac_touches_its_tree_and_stands_out_of_it(site):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        tree = grow_ring(rng)
        sac = place_aneurysm(tree, site, 8.0, rng)
        assert sac.diameter_mm == pytest.approx(8.0)
        assert sac.site == site
        if site.startswith(("Left", "Right")) and "Anterior" not in site:
            assert np.sign(sac.centre[0]) == (1 if site.startswith("Right") else -1)
        walls = [np.linalg.norm(v.points - sac.centre, axis=1) - v.radii for v in tree.values()]
        assert min(wall.min() for wall in walls) < 4.0, "its wall is open to an artery"
        lengths = np.linalg.norm(sac.axes, axis=1)
        assert 2.5 < lengths.min() <= lengths.max() < 6
        assert np.allclose(sac.axes @ sac.axes.T, np.diag(lengths**2))


def test_a_bad_site_or_diameter_is_refused():
    rng = np.random.default_rng(0)
    tree = grow_ring(rng)
    with pytest.raises(ValueError, match="unknown aneurysm site 'Aorta'; known: Left Infra"):
        place_aneurysm(tree, "Aorta", 5.0, rng)
    with pytest.raises(ValueError, match=r"diameter must be positive, got 0\.0 mm"):
        place_aneurysm(tree, "Basilar Tip", 0.0, rng)
