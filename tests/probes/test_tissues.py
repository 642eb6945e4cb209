"""Label ids as tissues, and that the two labelled heads' intensities agree with them."""

import pytest
import torch

from studykit.data.sources import open_source
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.tensors import label_tensor, volume_tensor
from studykit.data.volumes.volumes import VolumeSettings
from studykit.probes.tissues import LABELLED_HEADS, TISSUES, majority_class, tissue_classes


@pytest.mark.parametrize(
    ("scheme", "ids"),
    [
        # none, left precentral, right white matter, left lateral ventricle, left thalamus, brain stem
        ("freesurfer", [0, 1024, 41, 4, 10, 16]),
        ("neuromorphometrics", [0, 183, 44, 52, 60, 35]),
    ],
)
def test_one_structure_of_each_tissue(scheme, ids):
    labels = torch.tensor(ids).view(1, 2, 3)
    assert tissue_classes(labels, scheme).tolist() == [[[0, 1, 2], [3, 4, -1]]]


def test_sides_are_alike():
    pairs = {"freesurfer": [(2, 41), (4, 43), (10, 49), (17, 53), (1030, 2030)]}
    pairs["neuromorphometrics"] = [(44, 45), (51, 52), (59, 60), (47, 48), (200, 201)]
    for scheme, both in pairs.items():
        left, right = tissue_classes(torch.tensor(both), scheme).unbind(1)
        assert torch.equal(left, right)


def test_an_id_or_a_scheme_that_is_unknown_is_refused():
    with pytest.raises(
        ValueError, match=r"ids that neuromorphometrics does not have: 1024\. Known schemes: free"
    ):
        tissue_classes(torch.tensor([0, 44, 1024]), "neuromorphometrics")
    with pytest.raises(ValueError, match=r"Unknown scheme 'aal'\. Known: freesurfer, neuromorphometrics"):
        tissue_classes(torch.tensor([0]), "aal")


def test_a_patch_has_the_class_of_more_than_half_of_its_voxels():
    patches = torch.tensor([[1, 1, 1, 2], [1, 1, 2, 2], [-1, -1, -1, 3], [0, 0, 0, 0], [4, 4, 4, -1]])
    assert majority_class(patches).tolist() == [1, -1, -1, 0, 4]


@pytest.mark.network
@pytest.mark.parametrize("subject", list(LABELLED_HEADS))
def test_t1_is_darkest_in_ventricles_and_brightest_in_white_matter(subject):
    """A wrong id would mix tissues: their mean intensities come in one order in both heads."""
    heads = prepare(open_source("sample-heads"), VolumeSettings(spacing_mm=4.0), subjects=[subject])
    (volume,) = heads.volumes
    classes = tissue_classes(label_tensor(volume), LABELLED_HEADS[subject])
    image = volume_tensor(volume)[0]
    mean = {name: float(image[classes == index].mean()) for index, name in enumerate(TISSUES)}
    litres = {name: int((classes == index).sum()) * 0.064 / 1000 for index, name in enumerate(TISSUES)}
    assert mean["ventricles"] < mean["cortex"] < mean["deep grey matter"] < mean["white matter"]
    assert 0.4 < litres["cortex"] < 1.3 and 0.3 < litres["white matter"] < 0.7
    assert 0.005 < litres["ventricles"] < 0.06 and 0.03 < litres["deep grey matter"] < 0.08
