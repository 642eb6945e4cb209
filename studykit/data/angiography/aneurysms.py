"""Saccular aneurysms on a vessel tree: where the challenge's thirteen places lie, and the sac's shape.

A sac is an ellipsoid of stated mean diameter, on the side of an artery or where it splits. Its neck is about
two thirds as wide as itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studykit.data.angiography.sites import site_number
from studykit.data.angiography.vessel_trees import SIDES, Points, Tree, Vessel, unit

STAND_OFF = 0.75
"""Distance of the sac's centre from the artery's wall, in radii of the sac."""
ELONGATION = (0.85, 1.3)
"""Length of a sac away from its artery over its width."""


@dataclass(frozen=True)
class Aneurysm:
    """A sac.

    Attributes:
        site: one of :data:`studykit.data.angiography.sites.SITES`.
        centre: of the ellipsoid, (3,) mm.
        axes: (3, 3) mm, rows: semi-axes, the first along the way out of the artery.
    """

    site: str
    centre: Points
    axes: Points

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of the same volume."""
        return float(2 * np.abs(np.linalg.det(self.axes)) ** (1 / 3))


def place_aneurysm(tree: Tree, site: str, diameter_mm: float, rng: np.random.Generator) -> Aneurysm:
    """A sac of a diameter at a site of a tree.

    Raises:
        ValueError: unknown site; the message lists the known ones, or a diameter that is not positive.
    """
    if diameter_mm <= 0:
        raise ValueError(f"an aneurysm's diameter must be positive, got {diameter_mm} mm")
    site_number(site)
    side = site.partition(" ")[0]
    place = _PLACES[site.removeprefix(f"{side} ") if side in SIDES else site]
    point, radius, out = place(tree, side, rng)
    out = unit(out + 0.25 * rng.standard_normal(3).clip(-2, 2))
    length = rng.uniform(*ELONGATION) ** (2 / 3)
    semi = diameter_mm / 2 * np.array([length, length**-0.5, length**-0.5])
    across = unit(np.cross(out, rng.standard_normal(3)))
    axes = semi[:, None] * np.stack([out, across, np.cross(out, across)])
    return Aneurysm(site, point + (radius + STAND_OFF * semi[0]) * out, axes)


Place = tuple[Points, float, Points]
"""A point of a centre line, the artery's radius there, and the way out of it."""


def _wall(vessel: Vessel, where: tuple[float, float], rng: np.random.Generator) -> Place:
    """On the outer side of a bend, between two shares of the vessel's length."""
    n = len(vessel.points)
    index = int(np.clip(rng.uniform(*where) * n, 3, n - 4))
    before, here, after = vessel.points[index - 3], vessel.points[index], vessel.points[index + 3]
    along = unit(after - before)
    bend = 2 * here - before - after
    out = bend / (np.linalg.norm(bend) + 0.05) + 0.6 * rng.standard_normal(3)
    return here, float(vessel.radii[index]), unit(out - (out @ along) * along)


def _end(vessel: Vessel) -> Place:
    """Where a vessel splits, straight on."""
    return vessel.points[-1], float(vessel.radii[-1]), vessel.heading


def _infraclinoid(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    return _wall(tree[f"{side} ICA infraclinoid"], (0.6, 0.95), rng)


def _supraclinoid(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    if rng.uniform() < 0.5:
        return _end(tree[f"{side} ICA communicating"])
    return _wall(tree[f"{side} ICA ophthalmic"], (0.1, 0.6), rng)


def _middle(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    return _end(tree[f"{side} M1"])


def _anterior_communicating(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    vessel = tree["ACom"]
    middle = len(vessel.points) // 2
    return (
        vessel.points[middle],
        float(vessel.radii[middle]),
        np.array([0.0, *rng.uniform((0.3, -1), (1, 1))]),
    )


def _anterior(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    if rng.uniform() < 0.6:
        return _end(tree[f"{side} A2"])
    return _wall(tree[f"{side} A1"], (0.25, 0.75), rng)


def _posterior_communicating(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    point, radius, along = _end(tree[f"{side} ICA ophthalmic"])
    out = np.array([0.5 * SIDES[side], -1.0, -0.3])
    return point, radius, unit(out - (out @ along) * along)


def _basilar_tip(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    return _end(tree["Basilar upper"])


def _other_posterior(tree: Tree, side: str, rng: np.random.Generator) -> Place:
    name = ("Basilar lower", "Basilar middle", "Left P1", "Right P1", "Left vertebral", "Right vertebral")
    chosen = tree[name[rng.integers(len(name))]]
    return _wall(chosen, (0.85, 1.0) if "vertebral" in chosen.name else (0.3, 1.0), rng)


_PLACES: dict[str, Callable[[Tree, str, np.random.Generator], Place]] = {
    "Infraclinoid Internal Carotid Artery": _infraclinoid,
    "Supraclinoid Internal Carotid Artery": _supraclinoid,
    "Middle Cerebral Artery": _middle,
    "Anterior Communicating Artery": _anterior_communicating,
    "Anterior Cerebral Artery": _anterior,
    "Posterior Communicating Artery": _posterior_communicating,
    "Basilar Tip": _basilar_tip,
    "Other Posterior Circulation": _other_posterior,
}
