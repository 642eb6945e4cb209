"""Who is one subject, over many ways of naming: nobody is split, and few are taken for one."""

from pathlib import Path

import pytest

from studykit.data.files.names import channel_cases
from studykit.data.files.people import name_subjects, read_told
from studykit.data.files.walk import stem

NOBODY = read_told(Path("nowhere"))


def groups(*names, told=NOBODY):
    """Sets of file numbers that share a subject."""
    paths = [Path(name) for name in names]
    channels = channel_cases([stem(path) for path in paths], certain=False)
    ids = name_subjects([(path, channels.get(stem(path), stem(path))) for path in paths], told)
    found = {}
    for number, path in enumerate(paths):
        found.setdefault(ids[path], []).append(number)
    return sorted(found.values())


@pytest.mark.parametrize(
    "layout",
    [
        # BIDS, in any letters
        ["sub-01/anat/sub-01_T1w.nii", "sub-01/anat/sub-01_FLAIR.nii", "sub-02/anat/sub-02_T1w.nii"],
        ["SUB-02_ses-1_T1w.nii", "sub-02_ses-2_T1w.nii", "sub-03_ses-1_T1w.nii"],
        ["sub-patient_001/T1.nii", "sub-patient_001/T2.nii", "sub-patient_002/T1.nii"],
        # channels, modalities, sides, sessions, runs
        ["la_003_0000.nii.gz", "la_003_0001.nii.gz", "la_004_0000.nii.gz", "la_004_0001.nii.gz"],
        ["BraTS20_Training_001_t1ce.nii", "BraTS20_Training_001_flair.nii", "BraTS20_Training_002_t1.nii"],
        ["BraTS-GLI-00005-000-t1n.nii", "BraTS-GLI-00005-001-t1c.nii", "BraTS-GLI-00006-000-t1n.nii"],
        ["1_t1.mha", "1_t2_SPACE.mha", "2_t1.mha"],
        ["hippo_001_left.nii", "hippo_001_right.nii", "hippo_002_left.nii"],
        ["P01_visit1_T1.nii", "P01_visit2_T1.nii", "P02_visit1_T1.nii"],
        ["p001_m00.nii", "p001_m12.nii", "p002_m00.nii"],
        ["anna_baseline.nii", "anna_followup.nii", "ben_baseline.nii"],
        ["patient001_frame01.nii", "patient001_frame12.nii", "patient001_4d.nii", "patient002_frame01.nii"],
        ["S3_20190102_t1.nii", "S3_20210304_t1.nii", "S4_20190102_t1.nii"],
        ["case7_run-1.nii", "case7_run-2.nii", "case8_run-1.nii"],
        ["p1_1.nii", "p1_2.nii", "p2_1.nii", "p2_2.nii"],
        ["100307_T1w_acpc_restore.nii", "100307_T2w_acpc_restore.nii", "100408_T1w_acpc_restore.nii"],
        ["10000_1000000_t2w.mha", "10000_1000017_adc.mha", "10001_1000001_t2w.mha"],
        # well-known ids
        ["OAS1_0001_MR1_mpr.nii", "OAS1_0001_MR2_mpr.nii", "OAS1_0002_MR1_mpr.nii"],
        ["ADNI_002_S_0295_MR_a_1.nii", "ADNI_002_S_0295_MR_b_2.nii", "ADNI_002_S_0413_MR_a_3.nii"],
        ["IXI002-Guys-0828-T1.nii", "IXI002-Guys-0828-T2.nii", "IXI012-HH-1211-T1.nii"],
        # folders
        ["p1/image.nii", "p1/other/image.nii", "p2/image.nii"],
        ["case3/case3_t1.nii", "case3/case3_t2.nii", "case4/case4_t1.nii"],
        ["p1/ses1/t1.nii", "p1/ses2/t1.nii", "p2/ses1/t1.nii"],
        ["p1/2019-01-02/t1.nii", "p1/2020-01-02/t2.nii", "p2/2019-05-06/t1.nii"],
        ["p1/77001/t1.nii", "p1/77002/t1.nii", "p2/77003/t1.nii"],
        ["p1/A001.nii", "p1/A002.nii", "p2/A003.nii"],
        ["baseline/anna.nii", "followup/anna.nii", "baseline/ben.nii"],
        ["train/p1/t1.nii", "train/p1/t2.nii", "test/p2/t1.nii"],
        ["T1/p1.nii", "T2/p1.nii", "T1/p2.nii"],
    ],
    ids=lambda layout: layout[0],
)  # fmt: skip
def test_the_images_of_a_subject_stay_together_and_others_apart(layout):
    """In each layout the last image, or those of its subject, is another person's."""
    found = groups(*layout)
    assert len(found) == 2, found
    assert 0 in found[0] and 1 in found[0], found


@pytest.mark.parametrize(
    "layout",
    [
        ["img/img0001.nii", "img/img0002.nii", "img/img0003.nii"],
        ["scan_0001.nii", "scan_0002.nii", "scan_0003.nii"],
        ["brains/brains001.nii", "brains/brains002.nii", "brains/brains003.nii"],
        ["volume-0.nii", "volume-1.nii", "volume-10.nii"],
        ["Pitt_0050038_mprage.nii", "Pitt_0050039_mprage.nii", "NYU_0050038.nii"],
        ["siteA/p1/t1.nii", "siteA/p2/t1.nii", "siteB/p3/t1.nii"],
        ["batch1/case001.nii", "batch1/case002.nii", "batch2/case003.nii"],
        ["x/y.nii", "x/z.nii", "w/v.nii"],
        ["head_scan1.nii", "head_scan2.nii", "head_scan3.nii"],
        ["site1_ct_001.nii", "site1_ct_002.nii", "site2_ct_001.nii"],
        ["IMG_20190101.nii", "IMG_20190102.nii", "IMG_20190103.nii"],
        ["sub-1_T1w.nii", "sub-10_T1w.nii", "sub-100_T1w.nii"],
        ["a.nii", "b.nii", "scan.v2.nii"],
    ],
    ids=lambda layout: layout[0],
)  # fmt: skip
def test_names_that_only_look_alike_are_several_subjects(layout):
    assert groups(*layout) == [[0], [1], [2]]


def test_one_id_in_two_spellings_is_one_subject():
    assert groups("Case_A1.nii", "case_a1_T1.nii", "case_b2.nii") == [[0, 1], [2]]


def test_a_table_says_it_outright(tmp_path):
    (tmp_path / "subjects.csv").write_text("file,subject\nx/one.nii,anna\ntwo,anna\nthree.nii,ben\n")
    told = read_told(tmp_path)
    assert groups("x/one.nii", "two.nii", "y/three.nii", "four.nii", told=told) == [[0, 1], [2], [3]]
    (tmp_path / "subjects.csv").write_text("image,subject\n")
    with pytest.raises(
        ValueError, match=r"subjects\.csv needs the columns file and subject; it has \['image'"
    ):
        read_told(tmp_path)


def test_participants_are_known_by_their_ids(tmp_path):
    (tmp_path / "participants.tsv").write_text(
        "\ufeffparticipant_id\tage\nK7\t60\nK77\t61\n", encoding="utf-8"
    )
    told = read_told(tmp_path)
    assert groups("K7_left_x1.nii", "K7-x2.nii", "deep/K77/x3.nii", told=told) == [[0, 1], [2]]
