"""Names of cohorts: what they stand for, and which are refused."""

import pytest

from studykit.data.cohorts.designs import DESIGNS, cohort_settings, read_cohort_name
from studykit.data.cohorts.scanners import SCANNERS
from studykit.data.cohorts.subjects import draw_subjects
from studykit.data.sources import check_source_name


def test_a_name_has_a_design_a_scanner_and_a_number():
    name = read_cohort_name("cohort:heads/t2-thick:20")
    assert (name.design.name, name.scanner, name.subjects) == ("heads", "t2-thick", 20)


@pytest.mark.parametrize("design", DESIGNS.values(), ids=lambda design: design.name)
def test_every_design_is_one_that_cohorts_can_be_drawn_from(design):
    assert set(design.scanners) <= set(SCANNERS)
    for scanner in design.scanners:
        settings = cohort_settings(f"cohort:{design.name}/{scanner}:2", 3.0)
        assert settings.labelled == design.structures and settings.shape == design.shape(3.0)
        assert {plan.template for plan in draw_subjects(settings)} == set(design.templates)


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
        ("cohort:", "cohort:DESIGN/SCANNER:N, such as .*; known designs: heads, bodies"),
        ("cohort:heads", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1:-3", "cohort:DESIGN/SCANNER:N"),
        ("cohort:heads/t1:4:4", "cohort:DESIGN/SCANNER:N"),
        ("cohort:head/t1:4", "unknown design 'head'; known: heads, bodies"),
        ("cohort:heads/t3:4", "unknown scanner 't3'; heads are seen by t1, t1-old, t2-thick, any-contrast"),
        ("cohort:heads/t1:0", "at least one subject"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(name, message):
    for refuse in (check_source_name, read_cohort_name, lambda n: cohort_settings(n, 3.0)):
        with pytest.raises(ValueError, match=message):
            refuse(name)


def test_voxels_too_large_for_the_field_of_view_are_refused():
    with pytest.raises(ValueError, match="three sides from 8 voxels"):
        cohort_settings("cohort:heads/t1:4", 30.0)
