"""Names of cohorts: what they stand for, and which are refused."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from studykit.data.cohorts.designs import (
    DESIGNS,
    DesignTrait,
    cohort_settings,
    design_groups,
    read_cohort_name,
    traits_of_group,
)
from studykit.data.cohorts.scanners import SCANNERS
from studykit.data.cohorts.structures import VERTEBRAE
from studykit.data.cohorts.subjects import draw_subjects
from studykit.data.sources import check_source_name, prepared_source


def test_a_name_has_a_design_a_scanner_and_a_number():
    name = read_cohort_name("cohort:heads/t2-thick:20")
    assert (name.design.name, name.scanners, name.subjects) == ("heads", ("t2-thick",), 20)
    assert read_cohort_name("cohort:people/site-a+site-b:60").scanners == ("site-a", "site-b")


@pytest.mark.parametrize("design", DESIGNS.values(), ids=lambda design: design.name)
def test_every_design_is_one_that_cohorts_can_be_drawn_from(design):
    assert set(design.scanners) <= set(SCANNERS)
    for scanner in design.scanners:
        settings = cohort_settings(f"cohort:{design.name}/{scanner}:2", 3.0)
        assert settings.labelled == design.structures and settings.shape == design.shape(3.0)
        everyone = replace(settings, subjects=len(settings.groups) * len(design.templates))
        assert {plan.template for plan in draw_subjects(everyone)} == set(design.templates)


def test_the_vertebrae_of_a_spine_are_two_classes_in_turn():
    spines, each = DESIGNS["spines"], DESIGNS["vertebrae"]
    assert spines.classes == ("odd vertebrae", "even vertebrae", "sacrum", "spinal cord")
    assert each.classes == each.structures == spines.structures and spines.field_mm == each.field_mm
    odd, even = (dict(spines.united)[name] for name in spines.classes[:2])
    assert {"T2", "T12", "L2", "L4"} <= set(odd) and {"T1", "L1", "L5"} <= set(even)
    levels = [name for name in VERTEBRAE if name in spines.structures]
    assert all((one in odd) != (two in odd) for one, two in itertools.pairwise(levels))
    settings = cohort_settings("cohort:spines/ct:1", 3.0)
    assert tuple(settings.classes) == spines.classes and settings.classes["sacrum"] == ("sacrum",)


@pytest.mark.network
def test_the_people_of_spines_and_vertebrae_are_the_same():
    spines, each = (prepared_source(f"cohort:{name}/ct:2", 6.0) for name in ("spines", "vertebrae"))
    levels, classes = DESIGNS["vertebrae"].classes, DESIGNS["spines"].classes
    parity = dict(DESIGNS["spines"].united)
    for whole, single in zip(spines.volumes, each.volumes, strict=True):
        assert whole.subject == single.subject and np.array_equal(whole.array, single.array)
        for name in classes[:2]:
            own = [1 + levels.index(level) for level in parity[name]]
            mask = whole.labels == 1 + classes.index(name)
            assert mask.any() and np.array_equal(mask, np.isin(single.labels, own))


def test_the_field_of_view_of_heads_is_the_same_at_every_spacing():
    heads = DESIGNS["heads"]
    assert [heads.shape(spacing) for spacing in (1.0, 1.5, 2.0, 3.0)] == [(n,) * 3 for n in (144, 96, 72, 48)]
    assert "pitt-50038" not in heads.templates, "the real head would not be unseen"


def test_the_same_people_whatever_the_scanner_and_however_many():
    few, many, old = (
        draw_subjects(cohort_settings(f"cohort:heads/{rest}", 3.0)) for rest in ("t1:3", "t1:5", "t1-old:5")
    )
    assert many[:3] == few
    assert [plan.id for plan in old] == [plan.id for plan in many]
    for one, two in zip(many, old, strict=True):
        assert (one.warp_seed, one.factors, one.size) == (two.warp_seed, two.factors, two.size)
        assert one.scan_seed != two.scan_seed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cohort:",
            "cohort:DESIGN/SCANNER:N, such as .*; known designs: heads, bodies, spines, vertebrae, people",
        ),
        ("cohort:heads", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1:-3", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1:4:4", "cohort:DESIGN/SCANNER:N"),
        ("cohort:head/t1:4", "unknown design 'head'; known: heads, bodies, spines, vertebrae, people"),
        ("cohort:heads/t3:4", "unknown scanner 't3'; heads are seen by t1, t1-old, t2-thick, any-contrast"),
        ("cohort:heads/t1:0", "at least one subject"),
        (
            "cohort:people/site-a+site-d:4",
            "unknown scanner 'site-d'; people are seen by site-a, site-b, site-c",
        ),
        ("cohort:people/site-a+site-a:4", "each scanner is named once, got site-a"),
        ("cohort:people/site-a+:4", "unknown scanner ''"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(name, message):
    for refuse in (check_source_name, read_cohort_name, lambda n: cohort_settings(n, 3.0)):
        with pytest.raises(ValueError, match=message):
            refuse(name)


def test_voxels_too_large_for_the_field_of_view_are_refused():
    with pytest.raises(ValueError, match="three sides from 8 voxels"):
        cohort_settings("cohort:heads/t1:4", 30.0)


def test_no_trait_template_or_scanner_tells_another():
    plans = draw_subjects(cohort_settings("cohort:people/site-a+site-b:64", 4.0))
    people = DESIGNS["people"]
    rows = [(*traits_of_group(people, p.group).values(), p.template, p.scanner.name) for p in plans]
    count = Counter(rows)
    assert len(count) == 2 * 2 * 4 * 2 and set(count.values()) == {2}
    assert {row[:2] for row in rows} == {
        (sex, state) for sex in ("male", "female") for state in ("healthy", "disease")
    }


def test_people_and_the_unseen_share_all_but_their_anatomies():
    people, unseen = DESIGNS["people"], DESIGNS["people-unseen"]
    assert not set(people.templates) & set(unseen.templates)
    assert replace(unseen, name="people", templates=people.templates) == people
    assert people.structures[0] == "hippocampus"


def test_traits_multiply_where_they_act_on_one_volume():
    design = replace(
        DESIGNS["people"],
        traits=(
            DesignTrait("one", ("a", "b"), size=0.5, structures=(("hippocampus", 0.8),)),
            DesignTrait("two", ("c", "d"), structures=(("hippocampus", 0.5), ("caudate", 2.0))),
        ),
    )
    groups = {group.name: group for group in design_groups(design)}
    assert list(groups) == ["a, c", "a, d", "b, c", "b, d"]
    assert groups["a, c"].structures == () and groups["a, c"].size == 1
    assert groups["b, d"].size == 0.5 and dict(groups["b, d"].structures) == {
        "hippocampus": 0.4,
        "caudate": 2.0,
    }
    assert traits_of_group(design, "b, d") == {"one": "b", "two": "d"}
    assert [group.name for group in design_groups(DESIGNS["heads"])] == ["all"]


def test_a_subject_keeps_its_body_whoever_scans_it():
    one, two = (
        draw_subjects(cohort_settings(f"cohort:people/{sites}:20", 4.0))
        for sites in ("site-c", "site-a+site-b")
    )
    assert [(p.id, p.size, p.factors, p.group) for p in one] == [
        (p.id, p.size, p.factors, p.group) for p in two
    ]
