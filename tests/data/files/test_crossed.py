"""Names whose ends are crossed with numbered heads: the head is the subject, whatever the ends are."""

import pytest

from studykit.data.files.crossed import bare_names

ENDS = (
    "axial/coronal CT/_PT venous_phase/arterial_phase contrast/noncontrast 1mm/5mm B30f/B70f bone/soft "
    "T1+C/T1 (T1)/(T2) C+/C- MRI1/MRI2 water/fat TOF/T1 T1map/T2map dce1/dce2 201/301 2019/2020 "
    "2019-01-02T10-11/2020-01-02T10-11 jan2019/mar2020 FU003d/T1 resampled_1mm/T1 full/quarter rater1/rater2 "
    "thorax/abdomen before/after visitA/visitB 1.5T/3T initial/final I/II qwx/kzv b-12_x/b-13_x"
).split()


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("person", ["P{:02d}", "CHUM-{:03d}", "{:05d}"])
def test_crossed_ends_are_no_subjects(ends, person):
    names = {f"{person.format(p)}_{end}": person.format(p) for p in (1, 2) for end in ends.split("/")}
    assert bare_names(names) == names


@pytest.mark.parametrize(
    "names",
    [
        {"P01_before": "P01", "P01_xq": "P01", "P02_lung": "P02", "P03_vw9": "P03"},
        {"P01_2017": "P01", "P01_2018": "P01", "P02_2021": "P02"},
        {"P01_x7": "P01", "P01": "P01", "P02": "P02"},
        {"3T_anna": "anna", "7T_anna": "anna", "3T_ben": "ben", "7T_carl": "carl"},
    ],
)
def test_one_persons_own_ends_are_no_subjects_where_others_show_the_design(names):
    assert bare_names(names) == names


@pytest.mark.parametrize(
    "names",
    [
        [f"center_{c}_{n:03d}" for c in (1, 2) for n in range(1, 9)],
        [f"BraTS{y}_Training_{n:03d}" for y in (19, 20) for n in range(1, 9)],
        ["K1_anna", "K1_ben", "K1_carl"],
        [f"Dataset{d}_case_{n}" for d in (1, 2) for n in range(10, 18)],
    ],
)
def test_cases_that_are_more_than_what_stands_before_them_are_subjects(names):
    assert bare_names(names) == {name: name for name in names}
