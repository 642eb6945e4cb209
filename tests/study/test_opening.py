"""Opening a study: bad settings are refused before any work, own settings get a folder of their own."""

import pytest
from tiny_study import STUDY

from studykit.data.sources import DEFAULT_SOURCE
from studykit.study import open_study, studies


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "convergence"},
            r"Unknown study 'convergence'\. Known: .*bertswin-convergence.*spine-ablation",
        ),
        ({"profile": "tiny"}, r"Unknown profile 'tiny'\. Known: smoke, laptop, gpu, paper"),
        ({"data": "sample-hands"}, r"unknown data source 'sample-hands'; known: sample-heads, .*folder:PATH"),
        ({"data": "folder:"}, r"unknown data source 'folder:'; known: sample-heads"),
        ({"seeds": [0, 1, 0]}, r"seeds must be a list of distinct whole numbers.*got \[0, 1, 0\]"),
        ({"seeds": []}, r"at least one; got \[\]"),
        ({"seeds": [0.5]}, r"whole numbers.*got \[0\.5\]"),
        ({"seeds": "01"}, r"whole numbers.*got '01'"),
        ({"seeds": 0}, r"whole numbers.*got 0"),
        ({"seeds": True}, r"whole numbers.*got True"),
        ({"nproc": 0}, r"nproc must be at least 1 and divide the batch of 4, got 0"),
        ({"nproc": "2"}, r"nproc must be at least 1 and divide the batch of 4, got '2'"),
        ({"data": 5}, r"a data source is a text such as 'sample-heads' or 'folder:PATH', got 5"),
        ({"spacing_mm": "2"}, r"spacing_mm must be a positive number of millimetres, got '2'"),
        ({"spacing_mm": -1.0}, r"spacing_mm must be a positive number of millimetres, got -1\.0"),
        ({"nproc": 3}, r"nproc must be at least 1 and divide the batch of 4, got 3"),
        ({"profile": "paper"}, r"paper profile crops 224³ voxels of 0\.2 mm.*data='folder:PATH'"),
        ({"profile": "paper", "data": "sample-head-cts"}, r"the sample volumes are too coarse"),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(results, arguments, message):
    with pytest.raises(ValueError, match=message):
        open_study(**{"name": STUDY, **arguments})
    assert not results.exists()


def test_every_study_of_the_papers_opens(results):
    assert len(studies()) >= 12
    assert [open_study(name).name for name in studies()] == list(studies())
    assert not results.exists()


def test_seeds_are_the_profiles_unless_given(tiny):
    assert tiny().seeds == (0, 1)
    assert tiny(seeds=[7, 3]).seeds == (7, 3)
    assert tiny(seeds=1).seeds == (0,)


def test_a_study_may_begin_at_a_seed_of_its_own():
    assert open_study("bertswin-convergence").seeds == (100, 101)


def test_own_data_and_own_seeds_never_touch_the_evidence(tiny):
    assert tiny(data=DEFAULT_SOURCE).folder.name == "smoke"
    assert tiny(data=DEFAULT_SOURCE, seeds=[5]).folder.name == "smoke-own"
    assert tiny().folder.name == "smoke-own"
