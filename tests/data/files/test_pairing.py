"""Images and label maps in public layouts, and what is said of files that are neither."""

import json

import pytest
from tiny_volumes import save

from studykit.data.files.folder import read_folder, survey
from studykit.data.files.label_names import bare


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def pairs(root):
    """Image → label map, relative to the root."""
    return {
        s.image.path.relative_to(root).as_posix(): s.labels and s.labels.path.relative_to(root).as_posix()
        for s in read_folder(root)
    }


def unused(root):
    return {entry.path.relative_to(root).as_posix(): entry.reason for entry in survey(root).unused}


CASES = ("0001", "0002", "0003")
LAYOUTS = {
    "KiTS": ("{}/imaging.nii.gz", "{}/segmentation.nii.gz"),
    "LiTS": ("volume-{}.nii", "segmentation-{}.nii"),
    "Slicer": ("{}.nii.gz", "{}-label.nii.gz"),
    "Slicer, segmentation": ("{}.nrrd", "{}.seg.nrrd"),
    "BTCV": ("img/img{}.nii.gz", "label/label{}.nii.gz"),
    "flat": ("{}.nii", "{}_mask.nii"),
    "BraTS": ("{0}/{0}_flair.nii.gz", "{0}/{0}_seg.nii.gz"),
    "SPIDER": ("images/{}_t2.mha", "masks/{}_t2.mha"),
    "a parent of an nnU-Net task": ("Set1/imagesTr/c_{}_0000.nii.gz", "Set1/labelsTr/c_{}.nii.gz"),
    "folders in images and labels": ("images/{}/ct.nii", "labels/{}/ct.nii"),
    "capitals": ("Images/{}.nii", "Labels/{}.nii"),
    "BIDS": ("sub-{0}/anat/sub-{0}_T1w.nii.gz", "derivatives/x/sub-{0}/anat/sub-{0}_dseg.nii.gz"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_paired(tmp_path, layout):
    image, label = LAYOUTS[layout]
    touch(tmp_path, *(name.format(case) for case in CASES for name in (image, label)))
    assert pairs(tmp_path) == {image.format(case): label.format(case) for case in CASES}
    assert unused(tmp_path) == {} and len({s.id for s in read_folder(tmp_path)}) == 3


def test_the_stages_of_freesurfer_are_one_image(tmp_path):
    names = ("orig", "T1", "brain", "wm", "aseg", "aparc+aseg", "ribbon")
    touch(tmp_path, *(f"{subject}/mri/{name}.mgz" for subject in ("bert", "ernie") for name in names))
    assert pairs(tmp_path) == {f"{s}/mri/orig.mgz": f"{s}/mri/aparc+aseg.mgz" for s in ("bert", "ernie")}
    assert [subject.id for subject in read_folder(tmp_path)] == ["bert", "ernie"]
    assert (
        unused(tmp_path)["bert/mri/wm.mgz"] == "is another stage of FreeSurfer's"
        and len(unused(tmp_path)) == 10
    )


def test_several_structures_in_one_folder_are_said(tmp_path):
    touch(tmp_path, *(f"s1/{name}.nii.gz" for name in ("ct", "segmentations/liver", "segmentations/spleen")))
    assert pairs(tmp_path) == {"s1/ct.nii.gz": None}
    assert set(unused(tmp_path)) == {"s1/segmentations/liver.nii.gz", "s1/segmentations/spleen.nii.gz"}
    assert "many maps are not joined to one" in unused(tmp_path)["s1/segmentations/liver.nii.gz"]


def test_masks_of_other_things_are_said(tmp_path):
    anat = "sub-01/anat/sub-01"
    touch(tmp_path, f"{anat}_T1w.nii", f"{anat}_mod-T1w_defacemask.nii", f"{anat}_desc-brain_mask.nii")
    assert pairs(tmp_path) == {f"{anat}_T1w.nii": None}
    assert set(unused(tmp_path).values()) == {"is a mask of something else than structures"}


def test_a_label_map_of_another_space_is_not_the_images(tmp_path):
    derived = "derivatives/fmriprep/sub-01/anat/sub-01"
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii", f"{derived}_space-MNI152NLin6Asym_dseg.nii")
    assert pairs(tmp_path) == {"sub-01/anat/sub-01_T1w.nii": None}
    assert "no image fits it" in unused(tmp_path)[f"{derived}_space-MNI152NLin6Asym_dseg.nii"]
    touch(tmp_path, f"{derived}_space-T1w_dseg.nii")
    assert pairs(tmp_path)["sub-01/anat/sub-01_T1w.nii"] == f"{derived}_space-T1w_dseg.nii"


def test_every_channel_has_the_label_map_of_its_case(tmp_path):
    case = "BraTS20_Training_001"
    touch(tmp_path, *(f"{case}/{case}_{name}.nii.gz" for name in ("t1", "t1ce", "t2", "flair", "seg")))
    found = read_folder(tmp_path)
    assert [subject.modality for subject in found] == ["FLAIR", "T1w", "T1gd", "T2w"]
    assert {subject.labels.path.name for subject in found} == {f"{case}_seg.nii.gz"}


def test_a_second_label_map_is_named(tmp_path):
    touch(tmp_path, "a.nii", "a-label.nii", "a.seg.nii")
    (subject,) = read_folder(tmp_path)
    assert (
        subject.labels.path.name == "a-label.nii"
        and subject.note == "labels are a-label.nii; not used: a.seg.nii"
    )
    assert unused(tmp_path) == {"a.seg.nii": "is a label map; a.nii has a-label.nii"}


def test_what_lies_beside_the_layout_is_said(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii", "labelsTr/a.nii", "imagesTs/b_0000.nii", "other.nii")
    assert unused(tmp_path) == dict.fromkeys(
        ("imagesTs/b_0000.nii", "other.nii"), "lies beside imagesTr, where the images are"
    )


def test_found_and_used_add_up(tmp_path):
    touch(
        tmp_path,
        "sub-1/anat/sub-1_T1w.nii", "sub-1/func/sub-1_bold.nii", "derivatives/a.nii", "b_seg.nii", "x.mha",
        "x_brainmask.mha", "README", "participants.json", "sourcedata/y.nii",
    )  # fmt: skip
    found = survey(tmp_path)
    assert len(found.subjects) + len(found.unused) == 7 and dict(found.others) == {"": 1, ".json": 1}
    assert {s.id for s in found.subjects} == {"sub-1", "x"}


@pytest.mark.parametrize(
    "content",
    ["[1, 2]", '"text"', "no json", '{"channel_names": ["CT"]}', '\ufeff{"modality": {"0": "CT"}}', "{}"],
)
def test_any_dataset_json_leaves_the_images_readable(tmp_path, content):
    save(tmp_path / "imagesTr" / "a_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(content, encoding="utf-8")
    (subject,) = read_folder(tmp_path)
    assert subject.id == "a" and subject.modality == ("CT" if "modality" in content else "unknown")


def test_channels_are_named_by_the_listing_beside_their_folder(tmp_path):
    touch(tmp_path, "t1/imagesTr/a_0000.nii", "t1/imagesTr/a_0001.nii", "t2/imagesTr/b_0000.nii")
    for task, names in {"t1": {"0": "T1", "1": "T2"}, "t2": {"0": "CT"}}.items():
        (tmp_path / task / "dataset.json").write_text(json.dumps({"channel_names": names}))
    assert [subject.modality for subject in read_folder(tmp_path)] == ["T1w", "T2w", "CT"]


@pytest.mark.parametrize(
    ("image", "label"),
    [("volume-12", "segmentation-12"), ("img0003", "label0003"), ("imaging", "segmentation"), ("ct", "mask")],
)
def test_an_image_and_its_label_map_share_what_is_left_of_their_names(image, label):
    assert bare(image) == bare(label)


SIDED = {
    "folders": ("images/ADNI_002_S_{}.nii", "labels/ADNI_002_S_{}_L.nii", "labels/ADNI_002_S_{}_R.nii"),
    "named": ("p{}_T1.nii", "p{}_T1_hippocampus_left_mask.nii", "p{}_T1_hippocampus_right_mask.nii"),
    "side last": ("p{}.nii", "p{}_mask_lh.nii", "p{}_mask_rh.nii"),
    "BIDS": (
        "sub-{0}/anat/sub-{0}_T1w.nii",
        "derivatives/harp/sub-{0}/anat/sub-{0}_hippocampus_L_mask.nii",
        "derivatives/harp/sub-{0}/anat/sub-{0}_hippocampus_R_mask.nii",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", SIDED)
def test_the_masks_of_left_and_right_are_both_an_images(tmp_path, layout):
    image, left, right = SIDED[layout]
    touch(tmp_path, *(name.format(case) for case in CASES for name in SIDED[layout]))
    found = {
        subject.image.path: (subject.labels.path, subject.labels.other_side, subject.note)
        for subject in read_folder(tmp_path)
    }
    names = [[name.format(case) for name in (image, left, right)] for case in CASES]
    assert found == {tmp_path / i: (tmp_path / one, tmp_path / two, "") for i, one, two in names}
    assert unused(tmp_path) == {} and len({s.id for s in read_folder(tmp_path)}) == 3


def test_images_of_one_side_keep_their_own_mask(tmp_path):
    names = [f"p{n}_{side}{end}.nii" for n in "12" for side in ("left", "right") for end in ("", "_mask")]
    touch(tmp_path, *names)
    assert pairs(tmp_path) == {n: n.replace(".nii", "_mask.nii") for n in names if "mask" not in n}
    assert all(subject.labels.other_side is None for subject in read_folder(tmp_path))


def test_one_side_alone_is_a_label_map(tmp_path):
    touch(tmp_path, "p1.nii", "p1_mask_L.nii")
    (subject,) = read_folder(tmp_path)
    assert subject.labels.path.name == "p1_mask_L.nii" and subject.labels.other_side is None


@pytest.mark.parametrize("when", ["visit{}", "ses-{}", "2019-01-0{}", "m{}", "week{}"])
def test_a_label_map_of_one_visit_is_not_the_other_visits(tmp_path, when):
    first, second = when.format(1), when.format(2)
    names = [f"P01_{first}_T1w", f"P01_{second}_T1w", f"P01_{second}_seg", "P02_T1w", "P02_seg"]
    for name in names:
        (tmp_path / f"{name}.nii").write_bytes(b"x")
    labels = {s.image.path.stem: s.labels and s.labels.path.stem for s in read_folder(tmp_path)}
    assert labels == {names[0]: None, names[1]: names[2], "P02_T1w": "P02_seg"}
