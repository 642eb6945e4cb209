"""The real heads as a cohort's subjects are: where they lie, and that their labels are right."""

import numpy as np
import pytest
from scipy import ndimage

from studykit.data.cohorts.cohort import structure_volumes_ml, volume_table
from studykit.data.cohorts.designs import DESIGNS, cohort_settings
from studykit.data.cohorts.real_heads import prepare_real_heads
from studykit.data.cohorts.templates import MNI_SHRINK, load_template
from studykit.data.labelled import open_labelled
from studykit.data.sources import prepared_source

pytestmark = pytest.mark.network

STRUCTURES = DESIGNS["heads"].structures


@pytest.fixture(scope="module")
def heads():
    return {volume.subject: volume for volume in prepare_real_heads(3.0).volumes}


def test_they_have_the_field_of_view_and_the_classes_of_the_cohort(heads):
    assert list(heads) == ["Pitt_50038", "Colin27"]
    assert open_labelled("real-heads", 3.0).classes == STRUCTURES
    for volume in heads.values():
        assert volume.array.shape == volume.labels.shape == DESIGNS["heads"].shape(3.0)
        assert set(np.unique(volume.labels)) == set(range(7))
        sides = [np.flatnonzero(volume.labels.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        assert np.abs([(side[0] + side[-1]) / 2 - 23.5 for side in sides]).max() <= 1.0


def test_they_are_cut_as_the_cohort_of_people_is_too():
    design = DESIGNS["people"]
    people = open_labelled("real-heads:people", 3.0)
    assert people.classes == design.structures
    centre = [1 + design.structures.index(name) for name in design.centre]
    for volume in people.prepared.volumes:
        assert volume.array.shape == volume.labels.shape == design.shape(3.0)
        assert set(np.unique(volume.labels)) == set(range(7))
        inside = np.isin(volume.labels, centre)
        sides = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        assert np.abs([(side[0] + side[-1]) / 2 - 19.5 for side in sides]).max() <= 1.0


def test_volumes_are_those_of_the_label_maps(heads):
    """Pitt_50038 is also a template; Colin27's labels are one, before Colin's own head is made of it."""
    for subject, template in (("Pitt_50038", "pitt-50038"), ("Colin27", "mni-neuromorphometrics")):
        source, own = load_template(template).volumes_ml(), structure_volumes_ml(heads[subject], STRUCTURES)
        for name in STRUCTURES:
            assert own[name] == pytest.approx(source[name], rel=0.08), (subject, name)


def test_labels_lie_on_the_image_the_right_way_up(heads):
    for volume in heads.values():
        mean = dict(zip(STRUCTURES, ndimage.mean(volume.array, volume.labels, range(1, 7)), strict=True))
        assert (
            mean["lateral ventricle"]
            < min(v for name, v in mean.items() if name != "lateral ventricle") - 0.3
        )
        place = dict(
            zip(
                STRUCTURES, ndimage.center_of_mass(volume.labels > 0, volume.labels, range(1, 7)), strict=True
            )
        )
        assert place["thalamus"][2] > place["hippocampus"][2] + 2, "the thalamus lies above"
        assert place["caudate"][1] > place["thalamus"][1] + 4, "the caudate lies in front"


def test_another_spacing_shows_the_same_place(heads):
    finer = {volume.subject: volume for volume in prepared_source("real-heads", 2.0).volumes}
    for subject, volume in heads.items():
        assert finer[subject].array.shape == (72, 72, 72)
        middles = [v.affine @ [*(np.array(v.array.shape) - 1) / 2, 1] for v in (volume, finer[subject])]
        assert np.abs(middles[0] - middles[1]).max() <= 2.5
        for name, value in structure_volumes_ml(finer[subject], STRUCTURES).items():
            assert value == pytest.approx(structure_volumes_ml(volume, STRUCTURES)[name], rel=0.08)


def test_colin_is_as_large_as_heads_are():
    """In MNI space his thalamus would have a fourth more than what the cohort's have on average."""
    settings = cohort_settings("cohort:heads/t1:4", 3.0)
    rows = volume_table(prepared_source("cohort:heads/t1:4", 3.0), settings)
    mean = np.mean([row.mean_ml for row in rows if row.structure == "thalamus"])
    colin = next(v for v in prepare_real_heads(3.0).volumes if v.subject == "Colin27")
    own = structure_volumes_ml(colin, STRUCTURES)["thalamus"]
    assert abs(own - mean) < abs(own / MNI_SHRINK**3 - mean)
