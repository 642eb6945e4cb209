"""Folders of spines as VerSe, SPIDER and nnU-Net lay them out: pairs, patients, classes, refusals."""

import itertools
import json

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_volumes import affine, blob, itk_image, save

from studykit.data.labelled import open_labelled
from studykit.data.sources import check_source_name, open_source, own_path
from studykit.data.splits import Split, split_subjects

SHAPE = (14, 12, 30)


def spine(ids):
    labels = np.zeros(SHAPE, np.int16)
    tall = SHAPE[2] // len(ids)
    for place, value in enumerate(ids):
        labels[4:9, 4:9, place * tall : (place + 1) * tall] = value
    return labels


def save_itk(path, array, matrix):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(itk_image(array, matrix), str(path))


def write(root, pairs):
    """Image → ids from below, and the label map's name."""
    for seed, (image, (label, ids)) in enumerate(pairs.items()):
        for name, array in ((image, blob(SHAPE, seed) * 10 - 1000), (label, spine(ids))):
            put = save if ".nii" in name else save_itk
            put(root / name, array, affine((2.0, 2.0, 3.0)))
    return root


def verse_bids(case):
    folder = f"sub-verse{case}/sub-verse{case}"
    return f"rawdata/{folder}_ct.nii.gz", f"derivatives/{folder}_seg-vert_msk.nii.gz"


def verse_challenge(case):
    folder = f"01_training/verse{case}/verse{case}"
    return f"{folder}_CT-iso.nii.gz", f"{folder}_CT-iso_seg.nii.gz"


LAYOUTS = {
    "verse": {
        "BIDS": {image: (label, [24, 23, 22]) for image, label in map(verse_bids, ("004", "005", "006"))},
        "challenge": {image: (label, [24, 23, 22]) for image, label in map(verse_challenge, ("004", "005"))},
        "two scans of a patient": {
            f"rawdata/sub-v1/sub-v1_split-{part}_ct.nii.gz": (
                f"derivatives/sub-v1/sub-v1_split-{part}_seg-vert_msk.nii.gz",
                ids,
            )
            for part, ids in (("high", [3, 2, 1]), ("low", [24, 23]))
        },
        "nnU-Net": {f"imagesTr/s_{n}_0000.nii.gz": (f"labelsTr/s_{n}.nii.gz", [24, 23]) for n in (1, 2)},
    },
    "spider": {
        "SPIDER": {
            f"images/{n}_{w}.mha": (f"masks/{n}_{w}.mha", [1, 201, 2]) for n in (1, 2) for w in ("t1", "t2")
        }
    },
}


IN_TURN = {"lumbar": [2, 1, 2], "cervical": [1, 2, 1], "two, a disc between or none": [2, 1]}


@pytest.mark.parametrize(
    "scheme, layout", [(scheme, name) for scheme, own in LAYOUTS.items() for name in own]
)
def test_a_layout_is_read_as_vertebrae_in_turn(tmp_path, scheme, layout):
    pairs = LAYOUTS[scheme][layout]
    root = write(tmp_path / "own", pairs)
    found = open_labelled(f"spine-{scheme}:{root}", 3.0, cache=tmp_path)
    assert found.classes[:2] == ("odd vertebrae", "even vertebrae") and not found.prepared.refused
    assert len(found.prepared.volumes) == len(pairs)
    told = {
        s.image.path.relative_to(root).as_posix(): s for s in open_source(f"spine-{scheme}:{root}").subjects
    }
    for image, (label, _) in pairs.items():
        assert told[image].labels.path.relative_to(root).as_posix() == label, "each scan has its own map"
        assert told[image].modality in (("CT",) if scheme == "verse" else ("T1w", "T2w"))
    for volume in found.prepared.volumes:
        from_below = volume.labels.max(axis=(0, 1))
        seen = [int(a) for a, b in itertools.pairwise([*from_below, -1]) if a and a != b]
        assert seen in IN_TURN.values(), "odd and even by turns, L5 being even"


def test_scans_of_one_patient_are_one_subject_and_never_on_two_sides(tmp_path):
    root = write(tmp_path / "own", LAYOUTS["spider"]["SPIDER"])
    volumes = open_labelled(f"spine-spider:{root}", 3.0, cache=tmp_path).prepared.volumes
    assert [volume.subject for volume in volumes] == ["1", "1", "2", "2"]
    split = split_subjects([volume.subject for volume in volumes], seed=0, val=1)
    assert {*split.train, *split.val} == {"1", "2"} and not set(split.train) & set(split.val)
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["1", "2"], "val": ["1"], "test": []}))
    with pytest.raises(ValueError, match="subject '1' is in two parts of the split"):
        Split.load(path)


@pytest.mark.parametrize(
    ("image", "ids", "message"),
    [
        ("images/p_ct.nii.gz", [1], r"p .* has one vertebra, id 1, and it is 120 mm tall: the whole spine"),
        ("images/p_ct.nii.gz", [99], "has ids that verse does not have: 99"),
        ("images/p_ct.nii.gz", [0], "p .* has no vertebra"),
        (
            "images/p_pet.nii.gz",
            [24, 23],
            r"p \(.*p_pet.nii.gz\) is PET; spines are read from CT or MR",
        ),
    ],
)
def test_bad_input_is_named_before_any_work(tmp_path, image, ids, message):
    root = write(tmp_path / "own", {image: (image.replace("images", "labels"), ids)})
    if ids == [1]:
        save(root / image, blob((14, 12, 40)), affine((2.0, 2.0, 3.0)))
        save(
            root / image.replace("images", "labels"), np.ones((14, 12, 40), np.int16), affine((2.0, 2.0, 3.0))
        )
    with pytest.raises(ValueError, match=message):
        open_labelled(f"spine-verse:{root}", 3.0, cache=tmp_path)


@pytest.mark.parametrize("name", ["spine-", "spine-verse", "spine-verse:", "spine-btcv:/data"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(ValueError, match="spine-SCHEME:PATH, SCHEME being one of verse, spider; got"):
        check_source_name(name)


def test_what_stands_before_the_path_says_all_but_the_path(tmp_path):
    assert own_path(f"spine-verse:{tmp_path}") == tmp_path
