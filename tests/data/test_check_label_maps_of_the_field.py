"""Label maps as people name and lay them: each is its own image's, or said, and none is an image."""

import json

import numpy as np
import pytest
from tiny_volumes import affine, blob, save

from studykit.data.check import check_report, check_source
from studykit.data.files.folder import read_folder, survey
from studykit.data.files.pairing import UNSURE
from studykit.data.labelled import open_labelled
from studykit.data.sources import prepared_source

MASK = (blob() > 110).astype(np.uint8)


def touch(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def pairs(root):
    """Image → label map, relative to the root."""
    return {
        s.image.path.relative_to(root).as_posix(): s.labels and s.labels.path.relative_to(root).as_posix()
        for s in read_folder(root)
    }


def unused(root):
    return {entry.path.relative_to(root).as_posix(): entry.reason for entry in survey(root).unused}


def parcels(count, shape=(14, 12, 10)):
    """So many labels, each in a patch."""
    place = np.indices(shape).reshape(3, -1) // 2
    return (1 + (place[0] * 31 + place[1] * 7 + place[2]) % count).reshape(shape).astype(np.uint8)


def test_the_map_of_a_turned_image_is_not_the_plain_ones(tmp_path):
    touch(tmp_path, ("P1.nii", "P1_seg.nii", "P1_flipped.nii", "P1_flipped_seg.nii"))
    assert pairs(tmp_path) == {"P1.nii": "P1_seg.nii", "P1_flipped.nii": "P1_flipped_seg.nii"}


@pytest.mark.parametrize(("state", "has"), [("flipped", False), ("mni", False), ("n4", True), ("bet", True)])
def test_a_map_fits_an_image_that_was_not_moved(tmp_path, state, has):
    touch(tmp_path, (f"P1_{state}.nii", "P1_seg.nii"))
    assert pairs(tmp_path) == {f"P1_{state}.nii": "P1_seg.nii" if has else None}


OTHERS = (
    "arterial venous,left right,frame01 frame12,sa_ED sa_ES,insp exp,scan1 scan2,patch1 patch2,lh rh,crop3 "
    "crop4,native portal,phase_1 phase_2"
).split(",")


@pytest.mark.parametrize("words", OTHERS)
@pytest.mark.parametrize("layout", ["p1_{}{}.nii", "{1}/p1_{0}.nii"])
def test_the_map_of_one_is_not_the_others(tmp_path, words, layout):
    first, second = words.split()
    folders = layout.startswith("{1}")
    image, label = ("images", "labels") if folders else ("", "_seg")
    names = [layout.format(first, image), layout.format(second, image), layout.format(second, label)]
    touch(tmp_path, names)
    assert pairs(tmp_path) == {names[0]: None, names[1]: names[2]}


@pytest.mark.parametrize("words", OTHERS)
def test_a_map_that_does_not_say_whose_it_is_is_neithers(tmp_path, words):
    names = [f"p1_{word}.nii" for word in words.split()]
    touch(tmp_path, (*names, "p1_seg.nii"))
    assert pairs(tmp_path) == dict.fromkeys(names)
    assert unused(tmp_path) == {"p1_seg.nii": UNSURE}


def test_one_word_in_two_spellings_is_one(tmp_path):
    touch(tmp_path, ("p1_art.nii", "p1_pv.nii", "p1_arterial_seg.nii", "p1_portal_seg.nii"))
    assert pairs(tmp_path) == {"p1_art.nii": "p1_arterial_seg.nii", "p1_pv.nii": "p1_portal_seg.nii"}


@pytest.mark.parametrize("entity", ["space-MNI", "res-2"])
def test_an_image_of_another_grid_has_not_the_plain_map(tmp_path, entity):
    at = "sub-01/anat/sub-01"
    touch(tmp_path, (f"{at}_T1w.nii", f"{at}_{entity}_T1w.nii", f"{at}_dseg.nii"))
    assert pairs(tmp_path) == {f"{at}_T1w.nii": f"{at}_dseg.nii", f"{at}_{entity}_T1w.nii": None}
    touch(tmp_path, (f"{at}_{entity}_dseg.nii",))
    assert pairs(tmp_path)[f"{at}_{entity}_T1w.nii"] == f"{at}_{entity}_dseg.nii"
    assert pairs(tmp_path)[f"{at}_T1w.nii"] == f"{at}_dseg.nii"


@pytest.mark.parametrize(
    "end",
    "seg35 masks segs segm truth ground_truth aseg parc synthseg lesion lesionmask lesion_mask tumor tumour "
    "label_1 mask_1 seg001 Labels".split(),
)
def test_a_map_under_a_less_usual_name_is_no_image(tmp_path, end):
    touch(tmp_path, (f"p{n}{e}.nii" for n in "12" for e in ("", f"_{end}")))
    assert pairs(tmp_path) == {f"p{n}.nii": f"p{n}_{end}.nii" for n in "12"}


@pytest.mark.parametrize(
    "end",
    "aparc+aseg aparc.a2009s+aseg wmparc ribbon fseg firstseg lungmask ManualSegmentation_1 LesionMask "
    "TumorSeg Consensus staple LabelsForTraining anatomy_reader1 tumor_annotator_2 lesion wmh brainmask_fs "
    "pve_0 mixeltype BrainExtractionMask BrainSegmentationPosteriors1 label-GM_probseg pred "
    "prediction".split(),
)
@pytest.mark.parametrize("folder", ["{}/", "{}/T1w/", "{0}_"])
def test_what_programs_and_raters_leave_is_no_image(tmp_path, end, folder):
    touch(tmp_path, (f"{folder.format(p)}{e}.nii" for p in ("P001", "P002") for e in ("t1", "flair", end)))
    images = [path for path in pairs(tmp_path) if not path.endswith(("t1.nii", "flair.nii"))]
    assert images == [] and len({s.id for s in read_folder(tmp_path)}) == 2


@pytest.mark.parametrize("front", ["c1", "wc2", "mwc1", "mwp1", "rp2", "p0", "y_", "iy_"])
def test_what_spm_makes_of_an_image_is_said(tmp_path, front):
    touch(tmp_path, (f"anat/{name}.nii" for name in ("sMR7", f"{front}sMR7", "sMR8")))
    assert set(pairs(tmp_path)) == {"anat/sMR7.nii", "anat/sMR8.nii"}
    assert unused(tmp_path) == {f"anat/{front}sMR7.nii": "is what SPM made of sMR7, no image"}


def test_a_raters_map_is_the_one_of_the_image_that_it_names(tmp_path):
    touch(tmp_path, (f"p1/{name}.nii" for name in ("t2", "adc", "t2_anatomy_reader1", "adc_tumor_reader1")))
    assert pairs(tmp_path) == {
        "p1/t2.nii": "p1/t2_anatomy_reader1.nii",
        "p1/adc.nii": "p1/adc_tumor_reader1.nii",
    }


@pytest.mark.parametrize(
    "folder", ["pred", "predictionsTs", "model_predictions", "seg-lungs-LUNA16", "inference"]
)
def test_maps_in_a_folder_of_their_own_are_no_images(tmp_path, folder):
    touch(tmp_path, (f"{place}/p{n}.nii" for n in "12" for place in ("subset0", folder)))
    assert pairs(tmp_path) == dict.fromkeys(("subset0/p1.nii", "subset0/p2.nii"))
    assert unused(tmp_path).keys() == {f"{folder}/p1.nii", f"{folder}/p2.nii"}


def test_a_folder_named_after_the_image_beside_it_holds_its_label_maps(tmp_path):
    touch(tmp_path, ("p1.nii", "p1_seg/liver.nii", "p1_seg/spleen.nii", "p2.nii", "p2_seg/liver.nii"))
    assert pairs(tmp_path) == {"p1.nii": None, "p2.nii": None}
    assert unused(tmp_path)["p1_seg/liver.nii"].startswith("lies in p1_seg, a folder of label maps")


def test_what_nnunet_gave_is_no_image(tmp_path):
    given = "nnUNet_results/Dataset1_A/nnUNetTrainer__3d/fold_0/validation/a.nii"
    touch(tmp_path, ("nnUNet_raw/Dataset1_A/imagesTr/a.nii", given))
    assert unused(tmp_path) == {given: "is what a model predicted, no image"}


@pytest.mark.parametrize("folder", ["mask_study", "seg-2019", "Labeled", "unmasked", "predict-hd"])
def test_a_folder_that_is_only_called_alike_holds_images(tmp_path, folder):
    touch(tmp_path, (f"{folder}/p{n}.nii" for n in "12"))
    assert set(pairs(tmp_path)) == {f"{folder}/p1.nii", f"{folder}/p2.nii"} and unused(tmp_path) == {}


def test_of_two_versions_of_label_maps_none_is_taken_at_random(tmp_path):
    touch(tmp_path, ("images/a.nii", "labels_v1/a.nii", "labels_v2/a.nii"))
    assert pairs(tmp_path) == {"images/a.nii": None} and len(unused(tmp_path)) == 2


def test_a_tumour_alone_is_an_image(tmp_path):
    touch(tmp_path, ("mouse_tumor.nii", "rat.nii"))
    assert set(pairs(tmp_path)) == {"mouse_tumor.nii", "rat.nii"}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images", "msk"), ("images", "rois"), ("images", "contours"), ("TrainImages", "TrainLabels"),
        ("images_tr", "labels_tr"), ("images", "gt_segmentations"), ("images", "lung_mask"),
        ("imagesTs", "labelsTs"), ("data", "labels"), ("CT", "labels"),
        ("imagesTr_ct", "labelsTr_ct"), ("images", "labels-v2"), ("Original", "STAPLE"),
    ],
)  # fmt: skip
def test_folders_beside_each_other_are_paired(tmp_path, images, labels):
    touch(tmp_path, (f"{folder}/p{n}.nii" for n in "12" for folder in (images, labels)))
    assert pairs(tmp_path) == {f"{images}/p{n}.nii": f"{labels}/p{n}.nii" for n in "12"}


def test_two_folders_of_images_share_one_of_label_maps(tmp_path):
    touch(tmp_path, ("CT/a.nii", "MR/b.nii", "labels/a.nii", "labels/b.nii"))
    assert pairs(tmp_path) == {"CT/a.nii": "labels/a.nii", "MR/b.nii": "labels/b.nii"}


def test_of_two_masks_beside_images_none_is_taken_at_random(tmp_path):
    touch(tmp_path, ("images/a.nii", "lung_mask/a.nii", "liver_mask/a.nii"))
    assert pairs(tmp_path) == {"images/a.nii": None} and len(unused(tmp_path)) == 2


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("P001_image", "P001_label"), ("P001_img", "P001_seg"), ("P001_orig", "P001_seg"),
        ("P001_volume", "P001_mask"), ("c1/imaging", "c1/aggregated_MAJ_seg"), ("c1/t1", "c1/lesion_mask"),
    ],
)  # fmt: skip
def test_words_for_image_and_label_are_paired(tmp_path, image, label):
    touch(tmp_path, (f"{image}.nii", f"{label}.nii"))
    assert pairs(tmp_path) == {f"{image}.nii": f"{label}.nii"} and unused(tmp_path) == {}


def test_a_count_behind_a_word_for_label_maps_is_the_cases(tmp_path):
    names = [f"{word}_{n}.nii" for word in ("image", "mask") for n in "12"]
    touch(tmp_path, (*names, "ct.nii"))
    assert pairs(tmp_path) == {"image_1.nii": "mask_1.nii", "image_2.nii": "mask_2.nii", "ct.nii": None}


def test_probabilities_are_no_image(tmp_path):
    at = "sub-01/anat/sub-01"
    touch(tmp_path, (f"{at}_T1w.nii", f"{at}_dseg.nii", f"{at}_label-GM_probseg.nii"))
    assert pairs(tmp_path) == {f"{at}_T1w.nii": f"{at}_dseg.nii"}
    assert unused(tmp_path) == {f"{at}_label-GM_probseg.nii": "holds shares of a label or a tissue, no image"}


def test_many_labels_beside_their_image_are_told_by_their_voxels(tmp_path):
    eight_bits = (blob() / blob().max() * 255).astype(np.uint8)
    arrays = {"p1": blob(), "p1_regions": parcels(40), "p1_late": eight_bits, "other_regions": parcels(41)}
    for name, array in arrays.items():
        save(tmp_path / "in" / f"{name}.nii", array)
    save(tmp_path / "in" / "p1_coarse.nii", parcels(40), affine((2, 2, 2)))
    report = check_report(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    kept = {row.image.rpartition("/")[2] for row in report.rows}
    assert kept == {"p1.nii", "p1_late.nii", "other_regions.nii", "p1_coarse.nii"}
    (entry,) = report.unused
    assert (
        entry.path.name == "p1_regions.nii" and "on the grid of p1.nii: taken for a label map" in entry.reason
    )


def test_whoever_trains_is_told_what_the_check_notes(tmp_path):
    save(tmp_path / "in" / "a.nii")
    save(tmp_path / "in" / "odd.nii", parcels(5))
    for _ in ("made", "from the cache"):
        with pytest.warns(UserWarning, match=r"odd.nii has 5 whole values: a label map\?"):
            prepared_source(f"folder:{tmp_path / 'in'}", 2.0, cache=tmp_path / "cache")


def write_task(root, cases, classes, label=1):
    for case in cases:
        save(root / "imagesTr" / f"{case}_0000.nii", blob(seed=len(root.name) + int(case[-1])))
        save(root / "labelsTr" / f"{case}.nii", MASK * label)
    if classes is not None:
        (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **classes}}))


@pytest.mark.parametrize(
    ("second", "said"),
    [({"liver": 1}, None), ({"kidney": 1}, "Dataset2 with 1 kidney"), (None, "Dataset2 without a dataset")],
)
def test_tasks_below_one_folder_have_one_set_of_classes(tmp_path, second, said):
    write_task(tmp_path / "in" / "Dataset1", ("hip1", "hip2"), {"liver": 1})
    write_task(tmp_path / "in" / "Dataset2", ("pro1", "pro2"), second)
    source = f"folder:{tmp_path / 'in'}"
    if said is None:
        assert open_labelled(source, 2.0, cache=tmp_path / "cache").classes == ("liver",)
    else:
        with pytest.raises(ValueError, match=said):
            open_labelled(source, 2.0, cache=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["link", "folder", "deep", "text"])
def test_a_listing_that_cannot_be_read_is_not_passed_over(tmp_path, kind):
    write_task(tmp_path / "in", ("c1", "c2"), None)
    listing = tmp_path / "in" / "dataset.json"
    if kind == "link":
        listing.symlink_to("not-fetched")
    elif kind == "folder":
        listing.mkdir()
    else:
        listing.write_text("[" * 100_000 if kind == "deep" else "no json")
    said = {"link": "is a broken link", "folder": "is no regular file", "deep": "too deep", "text": "no JSON"}
    with pytest.raises(ValueError, match=rf"dataset.json {said[kind]}|dataset.json is .*{said[kind]}"):
        open_labelled(f"folder:{tmp_path / 'in'}", 2.0, cache=tmp_path / "cache")
    report = check_report(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    assert any(e.path == listing and said[kind] in e.reason for e in report.unused)


def test_a_label_that_the_listing_does_not_declare_is_noted(tmp_path):
    write_task(tmp_path / "in", ("c1",), {"a": 1}, label=5)
    (row,) = check_source(f"folder:{tmp_path / 'in'}", cache=tmp_path / "cache")
    assert row.note == "dataset.json does not declare the label 5"


def test_a_listing_in_utf_16_is_read(tmp_path):
    write_task(tmp_path / "in", ("c1",), None)
    (tmp_path / "in" / "dataset.json").write_text('{"labels": {"0": "none", "1": "é"}}', encoding="utf-16")
    assert open_labelled(f"folder:{tmp_path / 'in'}", 2.0, cache=tmp_path / "cache").classes == ("é",)
