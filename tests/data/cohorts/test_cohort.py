"""Cohorts of a toy head: exact labels, effects of known size, images of scanners, and the cache."""

import numpy as np
import pytest
import torch
from tiny_template import toy_template, use_toys

from studykit.data.cohorts import making
from studykit.data.cohorts.cohort import make_cohort, structure_volumes_ml, volume_table
from studykit.data.cohorts.deformation import jacobian
from studykit.data.cohorts.subjects import CohortSettings, Group, Variation, draw_subjects
from studykit.data.crops.random_crops import RandomCrops, fixed_crops
from studykit.data.volumes.tensors import label_tensor

SHAPE = (36, 40, 34)
STILL = Variation(0.0, 0.0, (), 0.0, 0.0, (), False)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    use_toys(monkeypatch)


def settings(**changes):
    base = {"name": "toy", "subjects": 2, "templates": ("pitt-50038",), "spacing_mm": 4.5, "shape": SHAPE}
    return CohortSettings(**{**base, **changes})


def volumes_of(prepared, chosen):
    return [structure_volumes_ml(volume, chosen.labelled) for volume in prepared.volumes]


def test_the_same_settings_give_the_same_volumes_anywhere(tmp_path):
    one, two = (make_cohort(settings(), cache=tmp_path / name) for name in "ab")
    assert one.fingerprint == two.fingerprint and one.refused == ()
    for first, second, plan in zip(one.volumes, two.volumes, draw_subjects(settings()), strict=True):
        assert first.subject == plan.id and first.key == second.key
        for part in ("array", "labels", "foreground", "affine"):
            assert np.array_equal(getattr(first, part), getattr(second, part)), part
    assert not np.array_equal(one.volumes[0].labels, one.volumes[1].labels)


def test_a_subject_is_made_once(tmp_path, monkeypatch):
    first = make_cohort(settings(subjects=1), cache=tmp_path)
    made = []
    original = making.synthesize
    monkeypatch.setattr(
        making, "synthesize", lambda plan, *rest: made.append(plan.id) or original(plan, *rest)
    )
    more = make_cohort(settings(subjects=2, name="more"), cache=tmp_path)
    assert made == [draw_subjects(settings())[1].id]
    assert more.volumes[0].key == first.volumes[0].key and more.fingerprint != first.fingerprint


def test_volumes_are_as_prepare_gives_them(tmp_path):
    volume = make_cohort(settings(subjects=1), cache=tmp_path).volumes[0]
    assert volume.array.shape == volume.labels.shape == volume.foreground.shape == SHAPE
    assert volume.array.dtype == np.float32 and volume.foreground.dtype == bool
    assert volume.array[volume.foreground].mean() == pytest.approx(0, abs=1e-4)
    assert volume.array[volume.foreground].std() == pytest.approx(1, abs=1e-4)
    assert volume.foreground[volume.labels > 0].mean() > 0.99
    assert np.allclose(volume.affine @ [*(np.array(SHAPE) - 1) / 2, 1], [0, 0, 0, 1])
    batch = RandomCrops([volume], 16, 2).draw(torch.Generator().manual_seed(0))
    assert batch.shape == (2, 1, 16, 16, 16)
    assert fixed_crops([volume], 16, 1, torch.Generator().manual_seed(0)).shape == (1, 1, 16, 16, 16)
    assert label_tensor(volume).shape == SHAPE[::-1]


def test_labels_count_in_the_order_of_the_structures(tmp_path):
    wanted = ("lateral ventricle", "hippocampus")
    volume = make_cohort(settings(subjects=1, structures=wanted, variation=STILL), cache=tmp_path).volumes[0]
    assert set(np.unique(volume.labels)) == {0, 1, 2}
    ventricle, hippocampus = (np.argwhere(volume.labels == k).mean(axis=0) for k in (1, 2))
    assert hippocampus[0] - ventricle[0] == pytest.approx(16 * 3 / 4.5, abs=0.5)
    assert volume.array[volume.labels == 1].mean() < volume.array[volume.labels == 2].mean()


def test_structures_may_share_a_label(tmp_path):
    three = ("hippocampus", "lateral ventricle", "cortex")
    kinds = [
        settings(subjects=1, structures=three, variation=STILL),
        settings(subjects=1, structures=three, variation=STILL, united=(("deep", three[:2]),)),
    ]
    single, united = (make_cohort(kind, cache=tmp_path).volumes[0] for kind in kinds)
    assert tuple(kinds[1].classes) == ("deep", "cortex") and single.key != united.key
    assert np.array_equal(single.array, united.array)
    assert np.array_equal(united.labels, np.array([0, 1, 1, 2])[single.labels])
    row = volume_table(make_cohort(kinds[1], cache=tmp_path), kinds[1])[0]
    assert row.structure == "deep" and row.mean_ml == pytest.approx(row.source_ml, rel=0.04)


@pytest.mark.parametrize("members", [("hippocampus", "hippocampus"), ("hippocampus", "amygdala")])
def test_structures_united_twice_or_without_a_label_are_refused(members):
    with pytest.raises(ValueError, match="united structures must be labelled ones, each in one class"):
        settings(structures=("hippocampus", "cortex"), united=(("deep", members),))


def test_without_variation_volumes_are_the_templates(tmp_path):
    chosen = settings(subjects=1, variation=STILL)
    source = toy_template("toy").volumes_ml()
    for name, volume in volumes_of(make_cohort(chosen, cache=tmp_path), chosen)[0].items():
        assert volume == pytest.approx(source.get(name, 0), rel=0.04), name


@pytest.mark.parametrize("factor", [0.75, 1.5])
def test_an_effect_on_a_structure_has_its_size_and_leaves_the_others(tmp_path, factor):
    effect = Group("changed", structures=(("hippocampus", factor),))
    kinds = [settings(subjects=4), settings(subjects=4, groups=(effect,))]
    plain, changed = (volumes_of(make_cohort(kind, cache=tmp_path), kind) for kind in kinds)
    ratio = {
        name: np.mean([after[name] / before[name] for before, after in zip(plain, changed, strict=True)])
        for name in ("hippocampus", "lateral ventricle", "cortex")
    }
    assert ratio["hippocampus"] == pytest.approx(factor, rel=0.04)
    assert ratio["lateral ventricle"] == pytest.approx(1, abs=0.03)
    assert ratio["cortex"] == pytest.approx(1, abs=0.03)


def test_no_subject_is_folded():
    mould = making.Mould(toy_template("pitt-50038"))
    chosen = settings(subjects=8)
    least = [jacobian(mould.displacement(plan, chosen.drawn)).min() for plan in draw_subjects(chosen)]
    assert min(least) > 0 and len(set(map(float, least))) == 8


def test_head_size_is_a_factor_on_every_volume(tmp_path):
    shifted = {"variation": Variation(0.0, 0.0, (), 5.0, 3.0, (), False), "subjects": 4}
    kinds = [settings(groups=(Group("all", size=size),), **shifted) for size in (0.8, 1.1)]
    small, large = (volumes_of(make_cohort(kind, cache=tmp_path), kind) for kind in kinds)
    for name in toy_template("toy").structures:
        ratio = sum(subject[name] for subject in large) / sum(subject[name] for subject in small)
        assert ratio == pytest.approx(1.1 / 0.8, rel=0.04), name


def test_another_scanner_sees_the_same_anatomy_otherwise(tmp_path):
    kinds = [settings(subjects=1, scanners=(name,)) for name in ("t1", "t1-old", "t2-thick", "any-contrast")]
    seen = [make_cohort(kind, cache=tmp_path).volumes[0] for kind in kinds]
    assert len({volume.key for volume in seen}) == 4 and len({volume.subject for volume in seen}) == 1
    for volume in seen[1:]:
        assert np.array_equal(volume.labels, seen[0].labels)
        assert np.abs(volume.array - seen[0].array).mean() > 0.05
    ventricle = 1 + settings().labelled.index("lateral ventricle")
    t1, _, t2, _ = (volume.array[volume.labels == ventricle].mean() for volume in seen)
    assert t1 < t2, "fluid is dark in T1 and bright in T2"
    assert [volume.modality for volume in seen] == ["T1w", "T1w", "T2w", "MR"]


def test_volumes_beside_the_sources(tmp_path):
    chosen = settings(subjects=5)
    rows = {row.structure: row for row in volume_table(make_cohort(chosen, cache=tmp_path), chosen)}
    assert set(rows) == set(toy_template("toy").structures)
    for row in rows.values():
        assert row.template == "pitt-50038" and row.subjects == 5
        assert row.smallest_ml <= row.mean_ml <= row.largest_ml and row.deviation_ml > 0
        assert row.mean_ml == pytest.approx(row.source_ml, rel=0.5)
    assert rows["lateral ventricle"].deviation_ml / rows["lateral ventricle"].mean_ml > 0.1


def test_structures_that_the_template_lacks_are_refused(tmp_path):
    effect = Group("changed", structures=(("amygdala", 0.8),))
    with pytest.raises(
        ValueError, match="'amygdala', which template pitt-50038 does not have; it has cortex"
    ):
        make_cohort(settings(groups=(effect,)), cache=tmp_path)
    with pytest.raises(ValueError, match="has none of thalamus, caudate; it has cortex"):
        make_cohort(settings(structures=("thalamus", "caudate")), cache=tmp_path)
