"""A template of coarse voxels, made without any archive."""

import functools

import numpy as np

from studykit.data.cohorts import cohort, making
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.templates import Template


def toy_template(name, cache=None):
    return Template(name, "head", toy_regions(), 3.0, "toy")


@functools.cache
def toy_regions():
    """A head of 3 mm voxels: skull, brain, and in it a hippocampus and a ventricle."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (64, 72, 60)], indexing="ij"))
    place = {region: k for k, region in enumerate(REGIONS["head"])}

    def ball(centre, radius):
        return ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) < radius**2

    regions = np.zeros(grid.shape[1:], dtype=np.uint8)
    for region, centre, radius in (
        (("", "fat"), (0, 0, 0), 27),
        (("", "bone"), (0, 0, 0), 25),
        (("cortex", "grey matter"), (0, 0, 0), 23),
        (("white matter", "white matter"), (0, 0, 0), 18),
        (("hippocampus", "grey matter"), (8, -3, 2), 6),
        (("lateral ventricle", "fluid"), (-8, 4, 1), 6),
    ):
        regions[ball(centre, radius)] = place[region]
    return regions


def use_toys(monkeypatch):
    """Cohorts of heads are made from toy templates, whichever are named."""
    for module in (cohort, making):
        monkeypatch.setattr(module, "load_template", toy_template)
