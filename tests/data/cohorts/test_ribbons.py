"""A head around a toy ribbon: what the map says stays, what it encloses is filled, holes are sealed."""

import numpy as np
import pytest
from scipy import ndimage

from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.ribbons import RIGHT, SCHEME, VENTRICLE_ML, ribbon_head
from studykit.data.cohorts.structures import SCHEMES, structure_index

VOXEL = 3.0
PLACE = {region: k for k, region in enumerate(REGIONS["head"])}


def toy_map(hole=0.0):
    """Two half balls of cortex, 6 mm thick, with balls of deep grey matter in them.

    Args:
        hole: mm, side of a square hole in the roof of the left one.
    """
    shape = (60, 66, 56)
    x, y, z = (VOXEL * (np.arange(n) - (n - 1) / 2) for n in shape)
    x, y, z = x[:, None, None], y[:, None], z
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros(shape, dtype=np.int32)
    for side, sign in ((0, -1), (RIGHT, 1)):
        half = np.where(sign * x > 1, 1, 0) * np.ones(shape, dtype=int) > 0
        ribbon = half & (radius < 62) & ((radius > 56) | (sign * x < 7) & (np.hypot(y, z) > 40))
        labels[ribbon] = 27 + side
        # The cingulate: the innermost rim of the medial wall.
        labels[ribbon & (np.hypot(y, z) < 46) & (sign * x < 7)] = 2 + side
        for name, place, size in (
            (35, (11, -8, 0), 9), (36, (18, 8, 12), 7), (37, (28, 4, 0), 9), (38, (20, 2, 0), 5),
            (40, (26, 2, -20), 8), (41, (26, 18, -22), 6),
        ):  # fmt: skip
            centre = np.array(place) * [sign, 1, 1]
            ball = sum((c - m) ** 2 for c, m in zip((x, y, z), centre, strict=True)) < size**2
            labels[ball & (labels == 0)] = name + side
    labels[(np.abs(x + 30) < hole / 2) & (np.abs(y) < hole / 2) & (z > 40)] = 0
    return labels


@pytest.fixture(scope="module")
def built():
    labels = toy_map()
    return labels, ribbon_head(labels, VOXEL)


def share(regions, *region):
    return float((regions == PLACE[region]).sum()) * VOXEL**3 / 1000


def test_what_the_map_says_stays(built):
    labels, regions = built
    names = [name for name in SCHEMES[SCHEME] if name != "brain stem"]
    tissues = dict(REGIONS["head"])
    counted = np.bincount(structure_index(labels, SCHEME, names).ravel())
    for number, name in enumerate(names, start=1):
        assert (regions == PLACE[name, tissues[name]]).sum() == counted[number] > 0, name


def test_white_matter_is_what_the_cortex_encloses(built):
    _, regions = built
    ball = 4 / 3 * np.pi * 5.6**3
    inner = share(regions, "white matter", "white matter") + VENTRICLE_ML
    deep = sum(share(regions, *r) for r in REGIONS["head"][5:] if r[1] == "deep grey matter")
    assert inner + deep == pytest.approx(ball, rel=0.25)
    white = regions == PLACE["white matter", "white matter"]
    air = regions == 0
    assert not (ndimage.binary_dilation(white, iterations=2) & air).any()


def test_a_hole_in_the_cortex_lets_no_air_in(built):
    _, whole = built
    holed = ribbon_head(toy_map(hole=4.0), VOXEL)
    one, two = (share(r, "white matter", "white matter") for r in (whole, holed))
    assert two == pytest.approx(one, rel=0.02)


def test_ventricles_have_their_size_and_lie_medially_above_the_thalamus(built):
    _, regions = built
    fluid = regions == PLACE["lateral ventricle", "fluid"]
    assert share(regions, "lateral ventricle", "fluid") == pytest.approx(VENTRICLE_ML, rel=0.06)
    caudate, thalamus = (
        np.argwhere(regions == PLACE[n, "deep grey matter"]) for n in ("caudate", "thalamus")
    )
    middle = np.mean(caudate[:, 0])
    at = np.argwhere(fluid)
    assert np.abs(at[:, 0] - middle).mean() < np.abs(caudate[:, 0] - middle).mean()
    assert at[:, 2].min() > thalamus[:, 2].mean()
    left, right = (np.sum(np.sign(at[:, 0] - middle) == sign) for sign in (-1, 1))
    assert left == pytest.approx(right, rel=0.05)


def test_the_brain_has_shells_and_the_head_ends_in_air(built):
    _, regions = built
    for axis in range(3):
        assert not regions.take([0, -1], axis=axis).any()
    column = [int(v) for v in regions[regions.shape[0] // 2 - 15, regions.shape[1] // 2][::-1] if v]
    tissues = [REGIONS["head"][v][1] for v in dict.fromkeys(column)]
    # The rim of fluid is thinner than these voxels and lies in the gaps alone.
    assert tissues[:4] == ["muscle", "fat", "bone", "grey matter"]
    assert share(regions, "", "fluid") > 1


def test_a_map_that_lacks_what_all_else_is_placed_by_is_refused():
    labels = toy_map()
    labels[np.isin(labels, (36, 36 + RIGHT))] = 0
    with pytest.raises(ValueError, match="without caudate"):
        ribbon_head(labels, VOXEL)
