"""Structures under one name in every scheme."""

import numpy as np
import pytest

from studykit.data.cohorts.structures import BODY_STRUCTURES, HEAD_STRUCTURES, SCHEMES, SPINE, structure_index


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_id_belongs_to_one_structure_that_is_known(scheme):
    ids = [i for group in SCHEMES[scheme].values() for i in group]
    assert len(set(ids)) == len(ids) and 0 not in ids
    assert set(SCHEMES[scheme]) <= {*HEAD_STRUCTURES, *BODY_STRUCTURES, ""}


def test_the_same_structure_in_three_schemes():
    ids = {"freesurfer": [17, 53, 4, 1035, 24, 0], "neuromorphometrics": [47, 48, 51, 207, 46, 0]}
    for scheme, labels in {**ids, "hammers": [1, 2, 45, 95, 0, 0]}.items():
        found = structure_index(np.array(labels), scheme, ("hippocampus", "lateral ventricle", "cortex"))
        assert found.tolist() == [1, 1, 2, 3, 0, 0], scheme


def test_vertebrae_count_upwards_from_the_sacrum():
    found = structure_index(np.array([[25, 26, 27], [31, 32, 50]]), "totalsegmentator", SPINE)
    names = [SPINE[index - 1] for index in found.ravel()]
    assert found.shape == (2, 3)
    assert names == ["sacrum", "sacrum", "L5", "L1", "T12", "C1"]


def test_structures_that_were_not_asked_for_are_background():
    assert structure_index(np.array([1, 5, 6]), "totalsegmentator", ("liver",)).tolist() == [0, 1, 0]


def test_ids_of_another_scheme_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"does not have: 200, 207; known schemes: freesurfer, neuro"):
        structure_index(np.array([0, 17, 200, 207]), "freesurfer", ("cortex",))
    with pytest.raises(ValueError, match="unknown scheme 'aal'; known: freesurfer"):
        structure_index(np.array([0]), "aal", ("cortex",))
    with pytest.raises(ValueError, match="hammers has no structure 'cerebellar white matter'; known: cortex"):
        structure_index(np.array([0]), "hammers", ("cerebellar white matter",))
