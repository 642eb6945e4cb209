"""Arteries of the brain's base as centre lines with radii: the ring of Willis, its feeders and its branches.

Four arteries come from below, join in a ring and leave it as pairs of anterior, middle and posterior cerebral
arteries, which split until their branches are thin. Where an artery splits or two join, the cubes of the
radii on both sides have the same sum, and branches outside the ring leave at the angles of least work (Murray
1926, PNAS 12:207 and J Gen Physiol 9:835). The places follow textbook anatomy to a few millimetres; they are
drawn, not measured. Two arteries of each subject have a wide place, as those of the elderly do: what is wide
is not therefore an aneurysm.

Coordinates are mm from the middle of the ring: x to the subject's right, y to anterior, z to superior.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

Points = NDArray[np.float64]

STEP_MM = 0.4
"""Between points of a centre line."""
CONTROL_MM = 6.0
"""Between the points that a tortuous centre line is led through."""
LANDMARK_MM = 1.2
"""Standard deviation of a landmark's place along each axis."""
TORTUOSITY = 0.12
"""Sideways deviation of a control point over the distance of control points."""
LEAST_RADIUS_MM = 0.6
"""Thinner branches are left out."""
LENGTH_RADII = (9.0, 15.0)
"""Length of a branch of the outer tree in radii, besides ``LEAST_LENGTH_MM``."""
LEAST_LENGTH_MM = 3.0
PULL = 0.3
"""How much a branch of the outer tree turns towards its territory where it starts."""

WIDENED, WIDENING, WIDENED_MM = 2, (1.2, 1.7), 3.5
"""Arteries of a subject with a wide place, the factor there, and the standard deviation of its length."""

SIDES = {"Left": -1.0, "Right": 1.0}


@dataclass(frozen=True)
class Vessel:
    """A piece of an artery between two junctions.

    Attributes:
        name: with ``"Left "`` or ``"Right "`` in front for one of a pair.
        points: (n, 3) mm, along the flow.
        radii: (n,) mm.
        parents: names of the pieces that flow into it.
    """

    name: str
    points: Points
    radii: NDArray[np.float64]
    parents: tuple[str, ...] = ()

    @property
    def heading(self) -> Points:
        """Unit vector of the flow at its end."""
        return unit(self.points[-1] - self.points[-4])


Tree = dict[str, Vessel]
"""Vessels by name."""

# Of the right side; x is mirrored for the left one. The first and the last are junctions.
_CAROTID = ((20, -16, -60), (21, -18, -38), (17, -12, -27), (12, -4, -22), (11, 5, -17), (12, 11, -11))
_CLINOID = (12.5, 8, -6)
_COMMUNICATING = (12.5, 5, -3)
_TERMINUS = (11, 3, 1)
_A1, _A2 = ((7, 7, 3), (2.2, 12, 3)), ((2, 17, 6), (2, 21, 13), (2, 20, 20))
_M1 = ((16, 4.5, 0), (22.5, 2, -1))
_PCOM = ((11, -3, -3), (9, -13, -2))
_P2 = ((16, -18, 0), (19, -25, 3), (16, -31, 5))
_VERTEBRAL = ((9, -28, -60), (10, -26, -46), (6, -22, -36), (0, -17, -28))
_BASILAR = ((0, -15, -20), (0, -15, -9), (0, -13, -3))
_OF_BASILAR = {
    "AICA": ((9, -19, -21), (17, -24, -23)),
    "SCA": ((10, -19, -6), (17, -27, -5)),
    "P1": ((5, -13, -1), (9, -13, -2)),
}


_WIDE = (
    "Basilar lower",
    *(f"{side} {name}" for side in SIDES for name in ("ICA infraclinoid", "M1", "vertebral")),
)
_TERRITORIES = {"A2": (0.1, 0.3, 1.0), "M1": (0.3, -0.7, 0.8), "P2": (0.3, -1.0, 0.4)}
"""Where the branches of an artery turn to, on the right side."""


def unit(vector: Points) -> Points:
    return vector / np.linalg.norm(vector)


def split_radii(radius: float, shares: Sequence[float]) -> list[float]:
    """Radii of branches that take ``shares`` of the cube of the radius before; shares add up to 1."""
    return [radius * share ** (1 / 3) for share in shares]


def grow_ring(rng: np.random.Generator) -> Tree:
    """One subject's ring of Willis with its feeders, and the beginnings of the arteries that leave it."""
    tree: Tree = {}
    for side in SIDES:
        _carotid(tree, side, rng)
    _bridge(tree, rng)
    _basilar(tree, rng)
    for place in rng.choice(len(_WIDE), WIDENED, replace=False):
        tree[_WIDE[place]] = _widened(tree[_WIDE[place]], rng)
    return tree


def grow_branches(ring: Tree, rng: np.random.Generator) -> Tree:
    """What the six cerebral arteries of a ring split into, without the ring."""
    tree: Tree = {}
    for side, sign in SIDES.items():
        for name, territory in _TERRITORIES.items():
            _grow(tree, ring[f"{side} {name}"], _mirror(territory, sign), rng)
    return tree


def _carotid(tree: Tree, side: str, rng: np.random.Generator) -> None:
    """One internal carotid artery and what it splits into."""
    sign, radius = SIDES[side], rng.uniform(1.95, 2.2)
    clinoid, origin, terminus = (_landmark(p, sign, rng) for p in (_CLINOID, _COMMUNICATING, _TERMINUS))
    siphon = [_landmark(p, sign, rng) for p in _CAROTID]
    infra, ophthalmic, communicating = (
        f"{side} ICA {part}" for part in ("infraclinoid", "ophthalmic", "communicating")
    )
    _add(tree, infra, [*siphon, clinoid], radius, (), rng)
    _add(tree, ophthalmic, [clinoid, origin], radius, (infra,), rng)
    after, small = split_radii(radius, _shares(rng.uniform(0.03, 0.08)))
    _add(tree, communicating, [origin, terminus], after, (ophthalmic,), rng)
    _path(tree, f"{side} PCom", origin, _PCOM, small, (ophthalmic,), rng)
    middle, anterior = split_radii(after, _shares(rng.uniform(0.3, 0.42)))
    _path(tree, f"{side} M1", terminus, _M1, middle, (communicating,), rng)
    _path(tree, f"{side} A1", terminus, _A1, anterior, (communicating,), rng)
    _path(tree, f"{side} A2", tree[f"{side} A1"].points[-1], _A2, anterior, (f"{side} A1",), rng)


def _bridge(tree: Tree, rng: np.random.Generator) -> None:
    """The anterior communicating artery, which joins both sides and has no flow of its own."""
    ends = [tree[f"{side} A1"].points[-1] for side in SIDES]
    middle = np.mean(ends, axis=0) + np.array([0, rng.uniform(0.2, 1.0), 0])
    _add(tree, "ACom", [ends[0], middle, ends[1]], rng.uniform(0.65, 0.95), (), rng)


def _basilar(tree: Tree, rng: np.random.Generator) -> None:
    """Two vertebral arteries become one, which ends in the posterior cerebral ones."""
    start = _landmark(_VERTEBRAL[-1], 1.0, rng)
    radii = {side: rng.uniform(1.1, 1.5) for side in SIDES}
    for side, sign in SIDES.items():
        points = [_landmark(p, sign, rng) for p in _VERTEBRAL[:-1]]
        _add(tree, f"{side} vertebral", [*points, start], radii[side], (), rng)
    radius = sum(r**3 for r in radii.values()) ** (1 / 3)
    upstream = tuple(f"{side} vertebral" for side in SIDES)
    stops = [_landmark(p, 1.0, rng) for p in _BASILAR]
    pieces = (("lower", "AICA", 0.1), ("middle", "SCA", 0.15), ("upper", "P1", 1.0))
    for (name, branch, share), end in zip(pieces, stops, strict=True):
        _add(tree, f"Basilar {name}", [start, end], radius, upstream, rng)
        start, upstream = end, (f"Basilar {name}",)
        lesser = rng.uniform(0.42, 0.58)
        radius, *pair = split_radii(radius, (1 - share, share * lesser, share * (1 - lesser)))
        for side, own in zip(SIDES, pair, strict=True):
            goal = tree[f"{side} PCom"].points[-1] if branch == "P1" else None
            _path(tree, f"{side} {branch}", end, _OF_BASILAR[branch], own, upstream, rng, goal)
    for side in SIDES:
        one, other = tree[f"{side} P1"], tree[f"{side} PCom"]
        joined = (one.radii[-1] ** 3 + other.radii[-1] ** 3) ** (1 / 3)
        _path(tree, f"{side} P2", one.points[-1], _P2, joined, (one.name, other.name), rng)


def _path(
    tree: Tree,
    name: str,
    start: Points,
    landmarks: Sequence[Sequence[float]],
    radius: float,
    parents: tuple[str, ...],
    rng: np.random.Generator,
    goal: Points | None = None,
) -> None:
    """Add one of a pair along its landmarks, to ``goal`` in place of the last one where that is known."""
    side = name.partition(" ")[0]
    points = [start, *(_landmark(p, SIDES[side], rng) for p in landmarks)]
    if goal is not None:
        points[-1] = goal
    _add(tree, name, points, radius, parents, rng)


def _widened(vessel: Vessel, rng: np.random.Generator) -> Vessel:
    """A vessel with a wide place in its last half; its ends stay as they are."""
    along = STEP_MM * np.arange(len(vessel.points))
    place = along[-1] * rng.uniform(0.5, 0.85)
    swelling = np.exp(-(((along - place) / WIDENED_MM) ** 2) / 2)
    swelling *= np.clip(np.minimum(along, along[-1] - along) / WIDENED_MM, 0, 1)
    return replace(vessel, radii=vessel.radii * (1 + (rng.uniform(*WIDENING) - 1) * swelling))


def _grow(tree: Tree, parent: Vessel, pull: Points, rng: np.random.Generator) -> None:
    """Split the end of a vessel again and again until its branches are thin."""
    radius, heading = float(parent.radii[-1]), parent.heading
    share = rng.uniform(0.4, 0.75)
    radii = split_radii(radius, (share, 1 - share))
    aside = unit(np.cross(heading, rng.standard_normal(3)))
    for place, (own, angle) in enumerate(zip(radii, _angles(radius, *radii), strict=True)):
        if own < LEAST_RADIUS_MM:
            continue
        turned = math.cos(angle) * heading + math.sin(angle) * (aside if place else -aside)
        way = unit(turned + PULL * unit(pull))
        length = LEAST_LENGTH_MM + own * rng.uniform(*LENGTH_RADII)
        start = parent.points[-1]
        branch = f"{parent.name}{'ab'[place]}"
        _add(tree, branch, [start, start + length * way], own, (parent.name,), rng)
        _grow(tree, tree[branch], pull, rng)


def _angles(radius: float, one: float, two: float) -> tuple[float, float]:
    """Angles in radians between an artery and its two branches at which the blood's work is least."""

    def angle(own: float, other: float) -> float:
        cosine = (radius**4 + own**4 - other**4) / (2 * radius**2 * own**2)
        return math.acos(min(1.0, cosine))

    return angle(one, two), angle(two, one)


def _add(
    tree: Tree,
    name: str,
    through: Sequence[Points],
    radius: float,
    parents: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    points = _centre_line(np.asarray(through, dtype=np.float64), rng)
    tree[name] = Vessel(name, points, np.full(len(points), radius), parents)


def _centre_line(through: Points, rng: np.random.Generator) -> Points:
    """A smooth curve through all points, wriggling between them: (n, 3), ``STEP_MM`` apart."""
    curve, length = _spline(through)
    fixed, free = _chords(through), np.arange(CONTROL_MM, length, CONTROL_MM)
    free = free[np.abs(free[:, None] - fixed).min(axis=1) > CONTROL_MM / 3]
    sideways = TORTUOSITY * CONTROL_MM * rng.standard_normal((len(free), 3)).clip(-2, 2)
    place = np.concatenate([fixed, free])
    control = np.concatenate([through, curve(free) + sideways])
    curve, length = _spline(control[place.argsort()])
    return curve(np.linspace(0, length, max(8, math.ceil(length / STEP_MM) + 1)))


def _spline(points: Points) -> tuple["CubicSpline", float]:
    """A cubic curve over the length of the points' chords, and that length."""
    from scipy.interpolate import CubicSpline

    chords = _chords(points)
    return CubicSpline(chords, points, bc_type="natural"), float(chords[-1])


def _chords(points: Points) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def _landmark(place: Sequence[float], sign: float, rng: np.random.Generator) -> Points:
    return _mirror(place, sign) + LANDMARK_MM * rng.standard_normal(3).clip(-2, 2)


def _mirror(place: Sequence[float], sign: float) -> Points:
    return np.array([sign, 1, 1]) * np.asarray(place, dtype=np.float64)


def _shares(small: float) -> tuple[float, float]:
    return 1 - small, small
