"""The ideal observer: closed form against subjects drawn, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from studykit.data.cohorts.ceiling import ideal_score, trait_ceiling
from studykit.data.cohorts.designs import DESIGNS, DesignTrait, cohort_settings, traits_of_group
from studykit.data.cohorts.subjects import draw_subjects

PEOPLE = DESIGNS["people"]


def auroc(scores, positive):
    """Share of pairs in the right order, ties half (Mann and Whitney)."""
    scores, positive = np.array(scores), np.array(positive)
    difference = scores[positive][:, None] - scores[~positive]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


@pytest.fixture(scope="module")
def plans():
    return draw_subjects(cohort_settings("cohort:people/site-a:4000", 4.0))


@pytest.mark.parametrize(("trait", "stated"), [("sex", 0.97), ("disease", 0.93)])
def test_the_ceiling_is_what_the_best_score_reaches_among_drawn_subjects(plans, trait, stated):
    words = [traits_of_group(PEOPLE, plan.group)[trait] for plan in plans]
    (own,) = (t for t in PEOPLE.traits if t.name == trait)
    positive = [word == own.values[1] for word in words]
    reached = auroc([ideal_score(PEOPLE, trait, plan) for plan in plans], positive)
    assert trait_ceiling(PEOPLE, trait) == pytest.approx(stated, abs=0.005)
    assert reached == pytest.approx(trait_ceiling(PEOPLE, trait), abs=0.01)
    other = next(t.name for t in PEOPLE.traits if t.name != trait)
    assert auroc([ideal_score(PEOPLE, other, plan) for plan in plans], positive) == pytest.approx(
        0.5, abs=0.03
    )


def test_one_volume_alone_is_worse_than_all_that_a_trait_acts_on(plans):
    positive = [traits_of_group(PEOPLE, plan.group)["disease"] == "disease" for plan in plans]
    alone = auroc([-dict(plan.factors)["hippocampus"] for plan in plans], positive)
    assert 0.8 < alone < trait_ceiling(PEOPLE, "disease") - 0.02


def test_no_effect_is_a_coin():
    design = replace(PEOPLE, traits=(DesignTrait("nothing", ("a", "b")),))
    assert trait_ceiling(design, "nothing") == 0.5


def test_what_has_no_ceiling_is_refused():
    with pytest.raises(ValueError, match="people has no trait 'age'; it has sex, disease"):
        trait_ceiling(PEOPLE, "age")
    with pytest.raises(ValueError, match="heads has no trait 'sex'; it has none"):
        trait_ceiling(DESIGNS["heads"], "sex")
    still = replace(PEOPLE, traits=(DesignTrait("stem", ("a", "b"), structures=(("brain stem", 0.5),)),))
    with pytest.raises(ValueError, match="stem acts on brain stem, which does not vary"):
        trait_ceiling(still, "stem")
