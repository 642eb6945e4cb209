"""The ideal observer: closed form against subjects drawn and deformed, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from studykit.data.cohorts.designs import DESIGNS, DesignTrait, cohort_settings, traits_of_group
from studykit.data.cohorts.making import FIELD_STEP, Mould, pose_of
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.subjects import draw_subjects
from studykit.data.cohorts.synthesis import largest_share, template_points
from studykit.data.cohorts.templates import load_template
from studykit.studies.volta_transfer.ceiling import BRAIN, WARP_DEVIATION, ideal_score, trait_ceiling

PEOPLE = DESIGNS["people"]
SHARES = ("hippocampus", "lateral ventricle")


def auroc(scores, positive):
    """Share of pairs in the right order, ties half (Mann and Whitney)."""
    scores, positive = np.array(scores), np.array(positive)
    difference = scores[positive][:, None] - scores[~positive]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def positives(plans, trait):
    (own,) = (t for t in PEOPLE.traits if t.name == trait)
    return [traits_of_group(PEOPLE, plan.group)[trait] == own.values[1] for plan in plans]


@pytest.fixture(scope="module")
def plans():
    return draw_subjects(cohort_settings("cohort:people/site-a:4000", 4.0))


@pytest.fixture(scope="module")
def volumes(plans):
    """Of each subject, with what its deformation adds drawn as stated."""
    rng = np.random.default_rng(0)
    drawn = [{BRAIN: plan.size, **{name: dict(plan.factors)[name] for name in SHARES}} for plan in plans]
    return [
        {
            name: own[name] * np.exp(deviation * rng.standard_normal())
            for name, deviation in WARP_DEVIATION.items()
        }
        for own in drawn
    ]


@pytest.mark.parametrize(("trait", "stated"), [("sex", 0.97), ("disease", 0.996)])
def test_the_ceiling_is_what_the_best_score_reaches_among_drawn_subjects(plans, volumes, trait, stated):
    scores = [ideal_score(PEOPLE, trait, own) for own in volumes]
    assert trait_ceiling(PEOPLE, trait) == pytest.approx(stated, abs=0.005)
    assert auroc(scores, positives(plans, trait)) == pytest.approx(trait_ceiling(PEOPLE, trait), abs=0.01)
    other = next(t.name for t in PEOPLE.traits if t.name != trait)
    assert auroc(scores, positives(plans, other)) == pytest.approx(0.5, abs=0.03)


def test_one_volume_alone_is_worse_than_all_that_a_trait_acts_on(plans, volumes):
    alone = auroc([-own["hippocampus"] for own in volumes], positives(plans, "disease"))
    assert 0.75 < alone < trait_ceiling(PEOPLE, "disease") - 0.01


def test_no_effect_is_a_coin():
    design = replace(PEOPLE, traits=(DesignTrait("nothing", ("a", "b")),))
    assert trait_ceiling(design, "nothing") == 0.5


def test_what_has_no_ceiling_is_refused():
    with pytest.raises(ValueError, match="people has no trait 'age'; it has sex, disease"):
        trait_ceiling(PEOPLE, "age")
    with pytest.raises(ValueError, match="heads has no trait 'sex'; it has none"):
        trait_ceiling(DESIGNS["heads"], "sex")
    stem = DesignTrait("stem", ("a", "b"), structures=(("brain stem", 0.5),))
    with pytest.raises(
        ValueError, match="stem acts on brain stem; known are the spreads of brain, hippocampus"
    ):
        trait_ceiling(replace(PEOPLE, traits=(stem,)), "stem")


@pytest.mark.network
def test_people_have_the_volumes_that_the_ceiling_counts_on():
    """An eighth of the subjects that the deviations were measured over, so within three fifths."""
    people = cohort_settings("cohort:people/site-a:32", 3.0)
    settings = replace(people, shape=(64, 64, 64), centre=("cortex",))  # all of the brain
    added = {name: [] for name in WARP_DEVIATION}
    moulds = {}
    for plan in draw_subjects(settings)[::4]:
        mould = moulds.setdefault(plan.template, Mould(load_template(plan.template)))
        pose = pose_of(plan, mould.centre(settings.centre), mould.template.voxel_mm, settings)
        field = mould.displacement(plan, settings.drawn)
        regions = largest_share(
            mould.template.regions, template_points(pose, settings.shape, field, FIELD_STEP)
        )
        before, after = (
            np.bincount(r.ravel(), minlength=len(REGIONS["head"])) for r in (mould.template.regions, regions)
        )
        growth = after / before.clip(1) * settings.spacing_mm**3 / mould.template.voxel_mm**3
        named = [bool(name) for name, _ in REGIONS["head"]]
        whole = after[named].sum() / before[named].sum() * settings.spacing_mm**3 / mould.template.voxel_mm**3
        added[BRAIN].append(np.log(whole / plan.size))
        for place, (name, _) in enumerate(REGIONS["head"]):
            if name in SHARES:
                added[name].append(np.log(growth[place] / whole / dict(plan.factors)[name]))
    for name, values in added.items():
        # What is thin loses a little on a grid of 3 mm, in everybody.
        assert np.mean(values) == pytest.approx(0, abs=0.1), name
        assert np.std(values) == pytest.approx(WARP_DEVIATION[name], rel=0.6), name
