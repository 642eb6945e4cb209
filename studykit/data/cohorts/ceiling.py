"""The best that anything can tell a cohort's groups apart: its effects are known, and so is what hides them.

An observer who knows each subject's template, the factor on its head's volume and those on its structures'
(:class:`.subjects.SubjectPlan`) still meets the spread between subjects. Logarithms of these factors are
normal with one deviation in both groups, so that the likelihood ratio is a weighted sum of them and

    AUROC = Φ(d′ / √2),    d′² = Σ (ln factor / deviation)²

over the volumes that the trait acts on (Green and Swets 1966). That draws end at
:data:`.subjects.MOST_DEVIATIONS` is left out: a Monte Carlo over drawn subjects differs by less than 0.01.
"""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from studykit.data.cohorts.designs import Design, DesignTrait
from studykit.data.cohorts.subjects import VARIATIONS, SubjectPlan


def trait_ceiling(design: Design, trait: str) -> float:
    """AUROC of the ideal observer of a design of heads for one of its traits.

    >>> from studykit.data.cohorts.designs import DESIGNS
    >>> {name: round(trait_ceiling(DESIGNS["people"], name), 2) for name in ("sex", "disease")}
    {'sex': 0.97, 'disease': 0.93}

    Raises:
        ValueError: the design has no such trait, or a trait acts on a volume that does not vary.
    """
    own = _find(design, trait)
    effects, deviations = _effects(own), _deviations(design)
    if still := [name or "the head" for name in effects if not deviations.get(name)]:
        raise ValueError(f"{trait} acts on {', '.join(still)}, which does not vary: the ceiling is 1")
    sensitivity = sum((effect / deviations[name]) ** 2 for name, effect in effects.items()) ** 0.5
    return NormalDist().cdf(sensitivity / 2**0.5)


def ideal_score(design: Design, trait: str, plan: SubjectPlan) -> float:
    """The ideal observer's score of one subject: the logarithm of the likelihood ratio, up to a constant.

    Higher where the second of the trait's values is more likely.
    """
    drawn = {"": plan.size, **dict(plan.factors)}
    deviations = _deviations(design)
    effects = _effects(_find(design, trait)).items()
    return float(sum(effect / deviations[name] ** 2 * np.log(drawn[name]) for name, effect in effects))


def _find(design: Design, trait: str) -> DesignTrait:
    for own in design.traits:
        if own.name == trait:
            return own
    known = ", ".join(own.name for own in design.traits) or "none"
    raise ValueError(f"{design.name} has no trait {trait!r}; it has {known}")


def _effects(trait: DesignTrait) -> dict[str, float]:
    """Volume that a trait acts on, ``""`` for the whole head → logarithm of the factor."""
    factors = {"": trait.size, **dict(trait.structures)}
    return {name: float(np.log(factor)) for name, factor in factors.items() if factor != 1}


def _deviations(design: Design) -> Mapping[str, float]:
    """Volume → standard deviation of its logarithm between subjects."""
    heads = VARIATIONS["head"]
    size = heads.size if design.size_deviation is None else design.size_deviation
    return {"": size, **dict(heads.structures)}
