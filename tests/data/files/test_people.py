"""Who is one subject, over many ways of naming: nobody is split, and few are taken for one."""

from pathlib import Path

import pytest

from studykit.data.files.names import channel_cases
from studykit.data.files.people import name_subjects
from studykit.data.files.told import read_told
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
        # dates and times of any kind, in front and behind
        ["P01_02.01.2019.nii", "P01_05.06.2020.nii", "P02_01.02.2019.nii"],
        ["P01_2019_01_02.nii", "P01_2020_01_02.nii", "P02_2019_05_06.nii"],
        ["P01_02012019.nii", "P01_05062020.nii", "P02_01022019.nii"],
        ["P01_190102.nii", "P01_200605.nii", "P02_190102.nii", "P02_200102.nii"],
        ["2019-01-02_P01.nii", "2020-01-02_P01.nii", "2019-01-02_P02.nii"],
        ["P01_T1_mprage_20190102101112_3.nii", "P01_T1_mprage_20200102101112_3a.nii", "P02_T1_x_1.nii"],
        ["P1_week0.nii", "P1_week12.nii", "P2_week0.nii"],
        ["P1_6months.nii", "P1_12months.nii", "P2_6months.nii"],
        ["P1_day0.nii", "P1_day30.nii", "P2_day0.nii"],
        ["ses-1_P01.nii", "ses-2_P01.nii", "ses-1_P02.nii"],
        # modality in front and glued, one letter, phases, what was done to an image
        ["T1_P01.nii", "FLAIR_P01.nii", "T1_P02.nii"],
        ["flair_001.nii", "t1_001.nii", "t1_002.nii"],
        ["S001T1.nii", "S001T2.nii", "S002T1.nii"],
        ["001a.nii", "001b.nii", "002a.nii", "002b.nii"],
        ["001L.nii", "001R.nii", "002L.nii", "002R.nii"],
        ["P01_A.nii", "P01_B.nii", "P02_A.nii", "P02_B.nii"],
        ["P1_venous.nii", "P1_arterial.nii", "P2_venous.nii"],
        ["P1_rest.nii", "P1_stress.nii", "P2_rest.nii"],
        ["A0S9V9_sa.nii", "A0S9V9_la.nii", "A1D0Q7_sa.nii"],
        ["P01_T1w_n4.nii", "P01_T1w.nii", "P02_T1w.nii"],
        ["P01_bet.nii", "P01_mni_flipped.nii", "P02.nii"],
        ["P01_aug1.nii", "P01_aug2.nii", "P02_aug1.nii"],
        ["P01_patch_0.nii", "P01_patch_1.nii", "P02_patch_0.nii"],
        # copies, and one id spelt in several ways
        ["P01_T1w.nii", "P01_T1w (1).nii", "P02_T1w.nii"],
        ["P01_T1w.nii", "P01_T1w - Copy.nii", "P02_T1w.nii"],
        ["P-01_T1.nii", "P_01_T2.nii", "P-02_T1.nii"],
        ["sub-1_T1w.nii", "sub-01_FLAIR.nii", "sub-2_T1w.nii"],
        ["M\u00fcller_T1.nii", "Mu\u0308ller_T2.nii", "Maier_T1.nii"],
        # well-known ids
        ["1234567_20252_2_0.nii", "1234567_20253_3_0.nii", "7654321_20252_2_0.nii"],
        ["PPMI_3102_MR_MPRAGE_br_raw_1_I27.nii", "PPMI_3102_MR_SAG_x_2_I28.nii", "PPMI_3104_MR_A_1_I2.nii"],
        ["10005Q_INSP_B31f_340_COPD1.nii", "10005Q_EXP_B31f_340_COPD1.nii", "10006T_INSP_B31f_340_COPD1.nii"],
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
        # folders that keep a session, a date or a modality
        ["P001_baseline/t1.nii", "P001_followup/t1.nii", "P002_baseline/t1.nii"],
        ["P1_2019-01-02/t1.nii", "P1_2020-01-02/t1.nii", "P2_2019-05-06/t1.nii"],
        ["K7_MR/x.nii", "K7_CT/x.nii", "K8_MR/x.nii", "K8_CT/x.nii"],
        ["GBM-00001_11/GBM-00001_11_T1.nii", "GBM-00001_21/GBM-00001_21_T1.nii", "GBM-00002_11/a_T1.nii"],
        ["G-0004_nifti/G-0004_T1.nii", "G-0004_FU003d_nifti/G-0004_FU003d_T1.nii", "G-0005_nifti/a.nii"],
        ["wave1/P001.nii", "wave2/P001.nii", "wave1/P002.nii", "wave2/P002.nii"],
        ["2019/P001.nii", "2020/P001.nii", "2019/P002.nii", "2020/P002.nii"],
        ["scan1_P01.nii", "scan2_P01.nii", "scan1_P02.nii", "scan2_P02.nii"],
        ["v1_anna.nii", "v2_anna.nii", "v1_ben.nii", "v2_ben.nii"],
        # numbered folders with the same names in each
        ["MR/1/T1DUAL.nii", "MR/1/T2SPIR.nii", "MR/2/T1DUAL.nii", "MR/2/T2SPIR.nii"],
        ["1/T1_1mm.nii", "1/FLAIR_3mm.nii", "2/T1_1mm.nii", "2/FLAIR_3mm.nii"],
        ["1/K2a.nii", "1/W9q.nii", "2/K2a.nii", "2/W9q.nii"],
        ["100307/T1w/T1w_acpc_dc_x.nii", "100307/T1w/T2w_acpc_dc_x.nii", "100408/T1w/T1w_acpc_dc_x.nii"],
        # years behind a name, and studies below it
        ["M\u00fcller Anna 2019/T1.nii", "M\u00fcller Anna 2021/T1.nii", "\u00d8st Bo/T1.nii"],
        ["anna_2019.nii", "anna_2020.nii", "ben_2019.nii"],
        ["anna/77001/t1.nii", "anna/77002/t1.nii", "ben/77003/t1.nii"],
        ["Mueller_Anna/1.2.8.1.5/t1.nii", "Mueller_Anna/1.2.8.1.6/t1.nii", "Maier_Bo/1.2.8.1.7/t1.nii"],
        ["AD/1001/BL/t1.nii", "CN/1001/M06/t1.nii", "AD/1003/BL/t1.nii"],
        # what programs write in front of a name, and behind it
        ["p001.nii", "wp001.nii", "mp001.nii", "p002.nii"],
        ["T1/p001.nii", "smooth/s8wp001.nii", "T1/p002.nii"],
        ["anna.nii", "wanna.nii", "ben.nii", "wben.nii"],
        ["p001.nii", "p001BrainExtractionBrain.nii", "p002.nii"],
        ["p001warped.nii", "p001brain.nii", "p002warped.nii", "p002brain.nii"],
        # files of any name in the folder of a subject
        ["P1/SUV.nii", "P1/CT.nii", "P2/CT.nii", "P2/PET.nii"],
        ["P1/CT.nii", "P1/5 Thorax 1.0 B70f.nii", "P1/2 Axial.nii", "P1/t1.nii", "P2/CT.nii"],
        ["C1/t1.nii", "C1/rib_12.nii", "C1/rib_1.nii", "C1/rib_2.nii", "C2/t1.nii", "C2/rib_1.nii"],
        # a modality in the middle
        ["topcow_ct_001.nii", "topcow_mr_001.nii", "topcow_ct_002.nii", "topcow_mr_002.nii"],
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
        ["UCLA_1_0052001.nii", "UCLA_1_0052002.nii", "Leuven_2_0052001.nii"],
        ["site1_101215.nii", "site1_101216.nii", "site2_101217.nii"],
        ["10005Q.nii", "10006T.nii", "10007Q.nii"],
        ["1_11.nii", "11_1.nii", "111.nii"],
        ["case_12.nii", "case_13.nii", "case_112.nii"],
        ["LUNG1-001.nii", "LUNG1-002.nii", "LUNG1-003.nii"],
        ["FLARE22_Tr_0001.nii", "FLARE22_Tr_0002.nii", "FLARE22_Ts_0001.nii"],
        ["K1_anna.nii", "K1_ben.nii", "K1_carl.nii"],
        ["case_1998.nii", "case_1999.nii", "case_12.nii"],
        ["c12.nii", "2.nii", "12.nii"],
        ["HC/sub1/t1.nii", "AD/sub2/t1.nii", "AD/sub3/t1.nii"],
        ["Utrecht/0/pre/FLAIR.nii", "Utrecht/2/pre/FLAIR.nii", "Singapore/50/pre/FLAIR.nii"],
        ["data2/t1.nii", "data2/p1.nii", "data2/p2.nii"],
        ["Outputs/Pitt_0050003/t1.nii", "Outputs/Pitt_0050004/t1.nii", "Outputs/NYU_0050005/t1.nii"],
        ["Training Batch 1/volume-0.nii", "Training Batch 1/volume-1.nii", "Training Batch 2/volume-28.nii"],
        ["ann.nii", "hann.nii", "bo.nii"],
        ["1.3.6.1.41.5.1.nii", "1.3.6.1.41.5.2.nii", "1.3.6.1.41.6.1.nii"],
        ["Task04_A/imagesTr/a_001.nii", "Task04_A/imagesTr/a_002.nii", "Task05_B/imagesTr/b_001.nii"],
    ],
    ids=lambda layout: layout[0],
)  # fmt: skip
def test_names_that_only_look_alike_are_several_subjects(layout):
    assert groups(*layout) == [[0], [1], [2]]


def test_the_people_of_a_numbered_site_are_several_subjects():
    people = [f"BNI_1/{29000 + n}/session_1/anat.nii" for n in range(30)]
    assert len(groups(*people, "EMC_2/29864/session_1/anat.nii", "EMC_2/29864/session_2/anat.nii")) == 31


def test_one_id_in_two_spellings_is_one_subject():
    assert groups("Case_A1.nii", "case_a1_T1.nii", "case_b2.nii") == [[0, 1], [2]]
