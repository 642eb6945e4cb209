"""Tissues of whole heads and trunks, from toys whose anatomy is known."""

import numpy as np
import pytest

from studykit.data.cohorts.regions import (
    REGIONS,
    STRUCTURES,
    TISSUES,
    body_regions,
    head_regions,
)


def distance(shape, centre=None):
    """From the centre, in voxels."""
    centre = [(side - 1) / 2 for side in shape] if centre is None else centre
    squares = [(np.arange(side) - c) ** 2 for side, c in zip(shape, centre, strict=True)]
    return np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])


def named(regions, anatomy):
    """(structure, tissue) → share of the voxels where it is."""
    count = np.bincount(regions.ravel(), minlength=len(REGIONS[anatomy]))
    return {region: n for region, n in zip(REGIONS[anatomy], count.tolist(), strict=True) if n}


@pytest.mark.parametrize("anatomy", REGIONS)
def test_regions_begin_with_air_and_know_every_structure(anatomy):
    table = REGIONS[anatomy]
    assert table[0] == ("", "air") and len(set(table)) == len(table) < 256
    assert {tissue for _, tissue in table} <= set(TISSUES)
    assert {name for name, _ in table} == {"", *STRUCTURES[anatomy]}


def toy_head():
    """White matter in cortex, a gap, dark skull, muscle, bright scalp; an image with a little noise."""
    r = distance((48, 48, 48))
    number = {name: 1 + place for place, name in enumerate(STRUCTURES["head"])}
    structure = np.select([r < 7, r < 11], [number["white matter"], number["cortex"]], 0).astype(np.uint8)
    values = np.select([r < 7, r < 11, r < 13, r < 16, r < 19, r < 22], [100, 70, 20, 10, 60, 140], 0)
    noise = np.random.default_rng(0).normal(0, 2, r.shape)
    return (values + noise * (r < 22)).astype(np.float32), structure, r


def test_a_head_gets_fluid_skull_muscle_and_fat_from_its_image():
    image, structure, r = toy_head()
    regions = head_regions(image, structure, r < 22, 1.0, contours=True)
    place = {region: k for k, region in enumerate(REGIONS["head"])}
    inside = {"fluid": (11.05, 11.4), "bone": (13.5, 15.5), "muscle": (16.5, 18.5), "fat": (19.5, 21.5)}
    for tissue, (low, high) in inside.items():
        assert (regions[(r > low) & (r < high)] == place["", tissue]).all(), tissue
    assert (regions[r < 6.9] == place["white matter", "white matter"]).all()
    assert (regions[(r > 7) & (r < 11)] == place["cortex", "grey matter"]).all()
    assert (regions[r >= 22] == 0).all()


def test_an_atlas_leaves_grey_white_and_fluid_to_the_image():
    image, structure, r = toy_head()
    image[20:28, 14:16, 20:28] = 20.0
    structure[r < 7] = structure[structure > 0].min()
    assert set(named(head_regions(image, structure, r < 22, 1.0, contours=True), "head")) >= {
        ("cortex", "grey matter")
    }
    regions = head_regions(image, structure, r < 22, 1.0, contours=False)
    place = {region: k for k, region in enumerate(REGIONS["head"])}
    assert (regions[r < 6.9] == place["white matter", "white matter"]).all()
    sulcus = np.zeros(r.shape, dtype=bool)
    sulcus[20:28, 14:16, 20:28] = True
    assert (regions[sulcus & (r > 7) & (r < 11)] == place["", "fluid"]).all()


def test_a_gap_of_the_brain_is_fluid_whatever_lies_in_it():
    image, structure, r = toy_head()
    structure[22:26, :24, :] = 0
    regions = head_regions(image, structure, r < 22, 1.0, contours=True)
    assert (regions[22:26, 16:24, 24] == REGIONS["head"].index(("", "fluid"))).all()


def test_a_trunk_gets_its_tissues_by_hounsfield_units():
    shape = (20, 20, 20)
    number = {name: 1 + place for place, name in enumerate(STRUCTURES["body"])}
    image, structure = np.full(shape, 40.0, dtype=np.float32), np.zeros(shape, dtype=np.uint8)
    wanted = {}
    cases = [
        ("L3", 150.0, "marrow"),
        ("L3", 600.0, "bone"),
        ("colon", -600.0, "air"),
        ("colon", 30.0, "organ"),
        ("lung", -850.0, "lung"),
        ("lung", 0.0, "blood"),
        ("liver", -400.0, "organ"),
        ("", -100.0, "fat"),
        ("", 60.0, "muscle"),
        ("", 500.0, "bone"),
        ("", -900.0, "air"),
    ]
    for layer, (name, hu, tissue) in enumerate(cases):
        image[layer], structure[layer] = hu, number.get(name, 0)
        wanted[layer] = (name, tissue)
    inside = np.ones(shape, dtype=bool)
    inside[15:] = False
    regions = body_regions(image, structure, inside)
    for layer, region in wanted.items():
        assert (regions[layer] == REGIONS["body"].index(region)).all(), region
    assert (regions[15:] == 0).all()
