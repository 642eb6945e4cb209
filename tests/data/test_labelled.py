"""Labelled volumes of any source: classes, their numbers, and what is refused."""

import json

import numpy as np
import pytest
from tiny_task import write_task
from tiny_volumes import affine, blob, save

from studykit.data.cohorts.cohort import volume_table
from studykit.data.cohorts.designs import DESIGNS, cohort_settings
from studykit.data.files.listing import read_classes
from studykit.data.labelled import UNLABELLED, open_labelled

TASK = "Task04_Hippocampus"


def label_map(*values):
    """As large as a blob, with a slab of each value in its middle."""
    labels = np.zeros((14, 12, 10), dtype=np.int16)
    for place, value in enumerate(values):
        labels[4 + 2 * place : 6 + 2 * place, 4:8, 3:7] = value
    return labels


def write_folder(root, maps, classes=None):
    for name, labels in maps.items():
        save(root / "images" / f"{name}.nii.gz", blob(seed=len(name)))
        if labels is not None:
            save(root / "labels" / f"{name}.nii.gz", labels)
    if classes is not None:
        (root / "dataset.json").write_text(json.dumps({"labels": classes}))
    return f"folder:{root}"


@pytest.fixture
def folder(tmp_path):
    return lambda maps, classes=None: write_folder(tmp_path / "in", maps, classes)


@pytest.fixture
def labelled(tmp_path):
    return lambda source: open_labelled(source, 1.0, cache=tmp_path / "cache")


def test_classes_of_a_task_are_its_listings(labelled, tmp_path):
    write_task(tmp_path / "cache" / "msd")
    found = labelled(f"msd:{TASK}")
    assert found.classes == ("it",)
    assert [volume.subject for volume in found.prepared.volumes] == ["case_001", "case_002"]
    assert all(set(np.unique(volume.labels)) == {0, 1} for volume in found.prepared.volumes)


def test_of_several_channels_the_first_is_taken(labelled, tmp_path):
    write_task(tmp_path / "cache" / "msd", ("FLAIR", "T1w"))
    volumes = labelled(f"msd:{TASK}").prepared.volumes
    assert [(v.subject, v.modality) for v in volumes] == [("case_001", "FLAIR"), ("case_002", "FLAIR")]


def test_labels_are_numbered_by_the_classes_and_lie_where_they_were(labelled, folder):
    found = labelled(folder({"a": label_map(4, 9)}, {"background": 0, "late": 9, "early": 4}))
    assert found.classes == ("early", "late")
    labels = np.asarray(found.prepared.volumes[0].labels)
    early, late = (np.argwhere(labels == value)[:, 0] for value in (1, 2))
    assert set(np.unique(labels)) == {0, 1, 2} and labels.dtype == np.int16
    assert len(early) == len(late) == 2 * 4 * 4 and early.max() + 1 == late.min()


def test_another_numbering_is_another_fingerprint(labelled, folder, tmp_path):
    source = folder({"a": label_map(1, 2)}, {"1": "one", "2": "two"})
    counted = labelled(source).prepared.fingerprint
    folder({}, {"2": "two", "1": "renamed"})
    assert labelled(source).prepared.fingerprint == counted and labelled(source).classes == ("renamed", "two")
    folder({}, {"1": "one", "2": "two", "7": "absent"})
    assert labelled(source).prepared.fingerprint != counted
    assert labelled(source).classes == ("one", "two", "absent")


def test_undeclared_classes_are_counted_over_all_volumes(labelled, folder):
    found = labelled(folder({"a": label_map(1), "b": label_map(3, 1)}))
    assert found.classes == ("class 1", "class 2", "class 3")


def test_images_without_labels_are_left_out_and_named(labelled, folder):
    source = folder({"a": label_map(1), "b": None})
    with pytest.warns(UserWarning, match="left out 1 images without a label map: b"):
        found = labelled(source)
    assert [volume.subject for volume in found.prepared.volumes] == ["a"]
    assert [(entry.subject, entry.reason) for entry in found.prepared.refused] == [("b", "has no label map")]


def test_two_images_of_a_subject_that_share_a_label_map_are_one_volume(labelled, tmp_path):
    root = tmp_path / "bids" / "sub-1" / "anat"
    for kind in ("T1w", "T2w"):
        save(root / f"sub-1_{kind}.nii.gz")
    save(root / "sub-1_dseg.nii.gz", label_map(1))
    volumes = labelled(f"folder:{tmp_path / 'bids'}").prepared.volumes
    assert [(volume.subject, volume.modality) for volume in volumes] == [("sub-1", "T1w")]


def test_a_label_outside_the_classes_names_subject_file_value_and_classes(labelled, folder):
    source = folder({"a": label_map(1), "b": label_map(1, 5)}, {"0": "background", "1": "tooth", "2": "jaw"})
    with pytest.raises(ValueError, match=r"^b \(.*labels/b\.nii\.gz\) has the label 5; .*folder:.* are") as e:
        labelled(source)
    assert "0 background, 1 tooth, 2 jaw" in str(e.value)


@pytest.mark.parametrize(("value", "message"), [(-1, "has the label -1"), (1001, "largest label is 1001")])
def test_odd_labels_without_declared_classes_are_refused(labelled, folder, value, message):
    with pytest.raises(ValueError, match=message):
        labelled(folder({"a": label_map(1, value)}))


def test_a_source_without_labels_or_without_one_set_of_classes_is_refused(labelled, folder):
    with pytest.raises(ValueError, match="not one of 1 images has a label map; looked for labelsTr"):
        labelled(folder({"a": None}))
    with pytest.raises(ValueError, match="largest label is 0"):
        labelled(folder({"a": label_map()}))
    with pytest.raises(
        ValueError, match=r"sample-heads has no one set of classes; labelled sources: .*cohort:heads/"
    ):
        labelled("sample-heads")
    with pytest.raises(ValueError, match="unknown design"):
        labelled("cohort:dogs/t1:3")


def test_a_bad_volume_is_refused_and_the_others_go_on(labelled, folder, tmp_path):
    source = folder({"a": label_map(1), "b": label_map(1)})
    save(tmp_path / "in" / "labels" / "b.nii.gz", label_map(1), affine(origin=(50, 0, 0)))
    with pytest.warns(UserWarning, match="left out b: .*another grid"):
        assert len(labelled(source).prepared.volumes) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, 'has no "labels"'),
        ({}, "at least one besides 0"),
        ({"0": "background"}, "at least one besides 0"),
        ({"1": "a", "2": "a"}, "must be distinct"),
        ({"a": 1, "b": 1}, "must be distinct"),
        ({"whole": [1, 2]}, "'whole': .1, 2.. Regions"),
        ({"a": 1.5}, "whole number"),
        ({"a": -1}, "whole number"),
        ({"a": True}, "whole number"),
    ],
)
def test_classes_that_cannot_be_read_are_refused(tmp_path, labels, message):
    (tmp_path / "dataset.json").write_text(json.dumps({} if labels is None else {"labels": labels}))
    with pytest.raises(ValueError, match=message):
        read_classes(tmp_path / "dataset.json")


@pytest.mark.network
def test_every_structure_is_in_every_subject_of_the_heads():
    found = open_labelled("cohort:heads/t1:4", 3.0)
    assert found.classes == DESIGNS["heads"].structures and len(found.prepared.volumes) == 4
    for volume in found.prepared.volumes:
        assert volume.array.shape == (48, 48, 48)
        assert set(np.unique(volume.labels)) == set(range(7))
        assert not volume.labels[[0, -1]].any() and not volume.labels[:, :, [0, -1]].any(), "cut off"


@pytest.mark.network
def test_structures_are_about_as_large_as_their_templates():
    source = "cohort:heads/t1:4"
    prepared = open_labelled(source, 3.0).prepared
    rows = volume_table(prepared, cohort_settings(source, 3.0))
    assert len(rows) == 2 * 6 and all(row.subjects == 2 for row in rows)
    for row in rows:
        assert 0.5 < row.smallest_ml / row.source_ml and row.largest_ml / row.source_ml < 2, row


def test_ignored_voxels_are_no_class_and_not_labelled(labelled, folder):
    source = folder({"a": label_map(1, 3)}, {"background": 0, "tooth": 1, "jaw": 2, "ignore": 3})
    found = labelled(source)
    assert found.classes == ("tooth", "jaw")
    assert set(np.unique(found.prepared.volumes[0].labels)) == {UNLABELLED, 0, 1}
    plain = labelled(folder({"a": label_map(1, 2)}, {"background": 0, "tooth": 1, "jaw": 2}))
    assert plain.prepared.fingerprint != found.prepared.fingerprint


def test_two_masks_of_one_structure_are_one_class(labelled, tmp_path):
    left, right = (np.zeros((14, 12, 10), dtype=np.uint8) for _ in range(2))
    left[3:5, 4:8, 3:7], right[9:11, 4:8, 3:7] = 1, 255
    save(tmp_path / "in" / "p1.nii.gz", blob())
    save(tmp_path / "in" / "p1_hippocampus_L_mask.nii.gz", left)
    save(tmp_path / "in" / "p1_hippocampus_R_mask.nii.gz", right)
    found = labelled(f"folder:{tmp_path / 'in'}")
    (volume,) = found.prepared.volumes
    assert found.classes == ("class 1",) and set(np.unique(volume.labels)) == {0, 1}
    assert volume.labels_path.endswith("p1_hippocampus_L_mask.nii.gz with p1_hippocampus_R_mask.nii.gz")
    places = np.unique(np.argwhere(volume.labels)[:, 0])
    assert len(places) == 4 and np.diff(places).max() > 1
    before = found.prepared.fingerprint
    right[9, 4, 3] = 0
    save(tmp_path / "in" / "p1_hippocampus_R_mask.nii.gz", right)
    assert labelled(f"folder:{tmp_path / 'in'}").prepared.fingerprint != before
    save(tmp_path / "in" / "p1_hippocampus_R_mask.nii.gz", right, affine(origin=(50, 0, 0)))
    with pytest.warns(UserWarning, match="another grid"), pytest.raises(ValueError):
        labelled(f"folder:{tmp_path / 'in'}")
