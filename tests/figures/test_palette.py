"""Few colours that look the same: how few, how far off, and what must not turn alike."""

import numpy as np
import pytest

from studykit.figures.palette import FAR, MANY, MOST, SQUARED, in_few_colours
from studykit.figures.style import PALETTE

RNG = np.random.default_rng(0)
ARMS = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in PALETTE.values()])


def off(colours, matched):
    return np.abs(matched.astype(int) - colours).max(axis=1)


def test_shades_between_two_colours_come_from_fewer_than_a_quarter():
    blend = np.linspace(0, 1, 200)[:, None]
    colours = np.concatenate([np.round(blend * arm + (1 - blend) * 255).astype(int) for arm in ARMS])
    colours, counts = np.unique(colours, axis=0, return_counts=True)
    matched = in_few_colours(colours, counts)
    assert len(np.unique(matched, axis=0)) < len(colours) / 4
    far = off(colours, matched)
    assert far.max() <= FAR and np.average(far[far > 0] ** 2, weights=counts[far > 0]) <= SQUARED


def test_arms_keep_colours_of_their_own_even_where_each_fills_one_pixel():
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    colours = np.concatenate([greys, ARMS])
    matched = in_few_colours(colours, np.r_[np.full(256, 1000), np.ones(len(ARMS), int)])[256:]
    assert len(np.unique(matched, axis=0)) == len(ARMS) and off(ARMS, matched).max() <= FAR


def test_frequent_colours_are_kept_exactly():
    colours = np.unique(RNG.integers(0, 256, (300, 3)) // 3, axis=0)
    counts = np.ones(len(colours), int)
    counts[7], counts[100] = 5000, 4000
    matched = in_few_colours(colours, counts)
    np.testing.assert_array_equal(matched[[7, 100]], colours[[7, 100]])


def test_many_colours_are_searched_in_cells_and_end_as_near():
    steep = np.stack(np.meshgrid(np.arange(128), np.arange(64)), axis=-1).reshape(-1, 2)
    colours = np.column_stack([steep, np.full(len(steep), 20)])
    assert len(colours) > MANY
    matched = in_few_colours(colours, np.ones(len(colours), int))
    assert len(np.unique(matched, axis=0)) <= MOST and off(colours, matched).max() <= FAR


@pytest.mark.parametrize("count", [1, 2])
def test_one_colour_or_two_are_themselves(count):
    colours = np.array([[0, 0, 0], [255, 255, 255]])[:count]
    np.testing.assert_array_equal(in_few_colours(colours, np.arange(1, count + 1)), colours)


def test_what_no_palette_shows_is_none():
    colours = np.unique(RNG.integers(0, 256, (6000, 3)), axis=0)
    assert in_few_colours(colours, np.ones(len(colours), int)) is None
