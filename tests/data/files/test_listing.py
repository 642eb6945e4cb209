"""``dataset.json`` as people write it: another shape than the layout's is named, not stumbled over."""

import json

import pytest
from tiny_volumes import save

from studykit.data.files.decathlon import read_task
from studykit.data.files.listing import read_channels, read_classes, read_listing


def listing(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "must be a JSON object with .labels., it is a list"),
        ('"x"', "it is a str"),
        ("no", "is no JSON"),
    ],
)
def test_what_is_no_listing_is_named(tmp_path, content, said):
    with pytest.raises(ValueError, match=said):
        read_listing(listing(tmp_path, content))
    assert read_channels(tmp_path / "dataset.json") == {}


def test_a_mark_at_the_start_and_latin_1_are_read(tmp_path):
    path = listing(tmp_path, "\ufeff" + json.dumps({"labels": {"0": "background", "1": "tooth"}}))
    assert read_classes(path) == {1: "tooth"}
    path.write_bytes('{"labels": {"background": 0, "os frontalé": 1}}'.encode("latin-1"))
    assert read_classes(path) == {1: "os frontalé"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training": []}, "has no 'training' entries"),
        ({"training": ["a.nii"]}, 'each of the \'training\' entries needs an "image" and a "label"'),
        ({"training": "a.nii"}, "has no 'training' entries"),
    ],
)
def test_odd_training_entries_are_named(tmp_path, change, said):
    listing(tmp_path, {"modality": {"0": "MRI"}, **change})
    with pytest.raises(ValueError, match=said):
        read_task(tmp_path)


def test_a_task_without_modalities_has_one_channel(tmp_path):
    for name in ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"):
        save(tmp_path / name)
    listing(tmp_path, {"training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]})
    (subject,) = read_task(tmp_path)
    assert subject.modality == "unknown" and subject.image.frame is None
