"""The best that anything can tell a cohort's groups apart: its effects are known, and so is what hides them.

The observer knows each subject's template and volumes: the brain's, and those of structures as shares of it,
each over the template's. Their logarithms are normal with one deviation in both groups, so that the
likelihood ratio is a weighted sum of them and

    AUROC = Φ(d′ / √2),    d′² = Σ (ln factor / deviation)²

over the volumes that the trait acts on (Green and Swets 1966). Two things make the deviation: what is drawn
(:data:`~studykit.data.cohorts.subjects.VARIATIONS`) and what the smooth random deformation adds
(:data:`WARP_DEVIATION`). That draws end at :data:`~studykit.data.cohorts.subjects.MOST_DEVIATIONS` is left
out, and so are the small correlations of what the deformation adds.
"""

from collections.abc import Mapping
from math import hypot, log
from statistics import NormalDist
from types import MappingProxyType

from studykit.data.cohorts.designs import Design, DesignTrait
from studykit.data.cohorts.subjects import VARIATIONS

BRAIN = "brain"
"""All that has a structure's name, whose volume a head's size is seen by."""

WARP_DEVIATION: Mapping[str, float] = MappingProxyType(
    {BRAIN: 0.037, "hippocampus": 0.052, "lateral ventricle": 0.062}
)
"""Standard deviation of the logarithm that deformation adds to a volume; measured over 64 subjects of the
design ``people`` at 2 mm, structures as shares of the brain."""


def trait_ceiling(design: Design, trait: str) -> float:
    """AUROC of the ideal observer of a design of heads for one of its traits.

    >>> from studykit.data.cohorts.designs import DESIGNS
    >>> {name: round(trait_ceiling(DESIGNS["people"], name), 3) for name in ("sex", "disease")}
    {'sex': 0.97, 'disease': 0.996}

    Raises:
        ValueError: the design has no such trait, or a trait acts on a volume whose deviation is not known.
    """
    effects, deviations = _effects(_find(design, trait)), volume_deviations(design)
    if strange := [name for name in effects if name not in deviations]:
        raise ValueError(
            f"{trait} acts on {', '.join(strange)}; known are the spreads of {', '.join(deviations)}"
        )
    sensitivity = hypot(*(effect / deviations[name] for name, effect in effects.items()))
    return NormalDist().cdf(sensitivity / 2**0.5)


def ideal_score(design: Design, trait: str, volumes: Mapping[str, float]) -> float:
    """The ideal observer's score of one subject: the logarithm of the likelihood ratio, up to a constant.

    Higher where the second of the trait's values is more likely.

    Args:
        volumes: :data:`BRAIN` → its volume over the template's; structure → its share of the brain over the
            template's.
    """
    deviations = volume_deviations(design)
    effects = _effects(_find(design, trait)).items()
    return sum(effect / deviations[name] ** 2 * log(volumes[name]) for name, effect in effects)


def volume_deviations(design: Design) -> dict[str, float]:
    """Volume → standard deviation of its logarithm between a template's subjects of one group."""
    heads = VARIATIONS["head"]
    drawn = {BRAIN: design.size_deviation or heads.size, **dict(heads.structures)}
    return {name: hypot(drawn[name], warp) for name, warp in WARP_DEVIATION.items()}


def _find(design: Design, trait: str) -> DesignTrait:
    for own in design.traits:
        if own.name == trait:
            return own
    known = ", ".join(own.name for own in design.traits) or "none"
    raise ValueError(f"{design.name} has no trait {trait!r}; it has {known}")


def _effects(trait: DesignTrait) -> dict[str, float]:
    """Volume that a trait acts on → logarithm of the factor."""
    factors = {BRAIN: trait.size, **dict(trait.structures)}
    return {name: log(factor) for name, factor in factors.items() if factor != 1}
