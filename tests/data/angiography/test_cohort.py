"""Angiographies in a toy head: the truth, exact labels, what a seed and other settings change."""

import functools

import numpy as np
import pytest

from studykit.data.angiography import cohort
from studykit.data.angiography.cohort import ANEURYSM, VESSEL, make_angiographies, open_angiography
from studykit.data.angiography.scanners import ANGIOGRAPHY_SCANNERS, find_angiography_scanner
from studykit.data.angiography.sites import LABELS, SITES
from studykit.data.angiography.subjects import AngiographySettings, angiography_settings, draw_angiographies
from studykit.data.check import check_source
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.templates import Template


@functools.cache
def toy_regions():
    """A ball of brain of 3 mm voxels with an amygdala on both sides of its middle."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (60, 60, 60)], indexing="ij"))
    place = {region: k for k, region in enumerate(REGIONS["head"])}
    regions = np.zeros(grid.shape[1:], dtype=np.uint8)
    for region, centre, radius in (
        (("", "bone"), (0, 0, 0), 28),
        (("cortex", "grey matter"), (0, 0, 0), 26),
        (("amygdala", "grey matter"), (7, 0, 0), 3),
        (("amygdala", "grey matter"), (-7, 0, 0), 3),
    ):
        regions[((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) < radius**2] = place[region]
    return regions


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(
        cohort,
        "load_template",
        lambda name, cache=None: Template(name, "head", toy_regions(), 3.0, "toy"),
    )


def settings(**changes):
    return AngiographySettings(**{"subjects": 2, "templates": ("pitt-50038",), **changes})


def test_the_same_settings_give_the_same_volumes_anywhere(tmp_path):
    one, two = (make_angiographies(settings(), cache=tmp_path / name) for name in "ab")
    assert one.fingerprint == two.fingerprint and one.refused == ()
    for first, second, row in zip(one.volumes, two.volumes, draw_angiographies(settings()), strict=True):
        assert first.subject == second.subject == row.id
        assert np.array_equal(first.array, second.array) and np.array_equal(first.labels, second.labels)
    assert not np.array_equal(one.volumes[0].labels, one.volumes[1].labels)


def test_volumes_are_as_prepare_gives_them(tmp_path):
    for scanner, modality in (("mra", "MR"), ("cta", "CT")):
        volume = make_angiographies(settings(subjects=1, scanner=scanner), cache=tmp_path).volumes[0]
        assert volume.array.shape == volume.labels.shape == volume.foreground.shape == (48, 48, 48)
        assert volume.array.dtype == np.float32 and volume.modality == modality
        assert volume.array[volume.foreground].mean() == pytest.approx(0, abs=1e-4)
        assert np.allclose(volume.affine @ [23.5, 23.5, 23.5, 1], [0, 0, 0, 1])
        brain = volume.array[(volume.labels == 0) & volume.foreground]
        assert np.median(volume.array[volume.labels == VESSEL]) > np.percentile(brain, 98)


def test_labels_lie_where_the_truth_says(tmp_path):
    chosen = settings(subjects=3, share=1.0, diameters_mm=(9.0, 11.0), spacing_mm=1.5, shape=(52,) * 3)
    for volume, row in zip(
        make_angiographies(chosen, cache=tmp_path).volumes, draw_angiographies(chosen), strict=True
    ):
        places = np.argwhere(volume.labels == ANEURYSM)
        middle = (volume.affine @ [*places.mean(axis=0), 1])[:3]
        assert np.linalg.norm(middle - row.centre_mm) < 0.2 * row.diameter_mm
        assert 0.6 < 1.5**3 * len(places) / (np.pi / 6 * row.diameter_mm**3) < 1.3, "30 % of a voxel suffice"
        assert set(np.unique(volume.labels)) == {0, VESSEL, ANEURYSM}


def test_an_aneurysm_is_no_brighter_than_vessels(tmp_path):
    chosen = settings(subjects=3, share=1.0, diameters_mm=(10.0, 12.0))
    for volume in make_angiographies(chosen, cache=tmp_path).volumes:
        sac, vessel = (volume.array[volume.labels == label] for label in (ANEURYSM, VESSEL))
        assert sac.mean() < np.percentile(vessel, 99)


def test_a_subject_is_the_same_without_its_aneurysm(tmp_path):
    sick, healthy = (make_angiographies(settings(share=s), cache=tmp_path).volumes for s in (1.0, 0.0))
    for one, other in zip(sick, healthy, strict=True):
        assert one.subject == other.subject and one.key != other.key
        assert not (other.labels == ANEURYSM).any() and (one.labels == ANEURYSM).any()
        away = one.labels != ANEURYSM
        assert (one.labels == other.labels)[away].mean() > 0.999


def test_the_share_is_exact_and_all_sites_come_in_turn():
    rows = draw_angiographies(settings(subjects=52))
    assert [sum(row.present for row in rows[:n]) for n in (2, 10, 52)] == [1, 5, 26]
    present = [row for row in rows if row.present]
    assert sorted(row.site for row in present[:13]) == sorted(SITES)
    assert all(4.0 <= row.diameter_mm <= 12.0 for row in present)
    assert all(sum(row.labels) == 2 * row.present and len(row.labels) == len(LABELS) for row in rows)
    absent = next(row for row in rows if not row.present)
    assert (absent.site, absent.site_number) == ("", 0) and np.isnan(absent.diameter_mm)
    few = draw_angiographies(settings(subjects=3, spacing_mm=2.0, shape=(36,) * 3, scanner="cta"))
    assert [row.centre_mm for row in few if row.present] == [row.centre_mm for row in rows[:3] if row.present]


def test_another_seed_is_other_people():
    one, two = (draw_angiographies(settings(subjects=6, seed=seed)) for seed in (0, 1))
    assert not {row.id for row in one} & {row.id for row in two}
    assert not {row.centre_mm for row in one if row.present} & {row.centre_mm for row in two if row.present}


def test_a_source_by_name(tmp_path):
    prepared, rows = open_angiography("angio:cta:2:7", 3.0, cache=tmp_path)
    assert prepared.name == "angio:cta:2:7" and len(rows) == len(prepared.volumes) == 2
    assert [volume.subject for volume in prepared.volumes] == [row.id for row in rows]
    assert prepared.volumes[0].array.shape == (24, 24, 24) and rows[0].id.startswith("angio-s7-")
    assert angiography_settings("angio:mra:60", 1.5).shape == (48, 48, 48)


@pytest.mark.parametrize("name", ["angio:mra", "angio:mra:x", "angio:mra:3:4:5", "cohort:mra:3"])
def test_another_form_is_refused(name):
    with pytest.raises(ValueError, match=r"unknown angiography source .* known: angio:SCANNER:SUBJECTS and"):
        angiography_settings(name, 1.5)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="unknown angiography scanner 't1'; known: cta, mra"):
        angiography_settings("angio:t1:4", 1.5)
    with pytest.raises(ValueError, match="rising positive diameters_mm and a share from 0 to 1"):
        settings(diameters_mm=(5.0, 4.0))
    with pytest.raises(ValueError, match="three sides from 8 voxels"):
        settings(shape=(48, 48, 4))
    with pytest.raises(ValueError, match="templates must be heads"):
        settings(templates=("totalsegmentator-abdomen",))


def test_blood_is_the_brightest_of_soft_tissue():
    for name in ANGIOGRAPHY_SCANNERS:
        means = dict(find_angiography_scanner(name).means)
        assert all(means["blood"] > 2 * means[tissue] for tissue in ("grey matter", "muscle", "fluid"))


def test_a_cohort_is_checked_by_its_name(tmp_path):
    rows = check_source("angio:mra:2", cache=tmp_path)
    assert [row.verdict for row in rows] == ["ok", "ok"] and rows[0].shape == (24, 24, 24)
    assert [row.subject for row in rows] == [
        row.id for row in open_angiography("angio:mra:2", 3.0, cache=tmp_path)[1]
    ]
