"""Traits by a source's name: of cohorts, of a folder, and of sources that have none."""

import pytest
from tiny_volumes import save

from studykit.data.cohorts.designs import cohort_settings
from studykit.data.cohorts.subjects import draw_subjects
from studykit.data.sources import open_source
from studykit.data.traits import open_traits


def test_a_cohorts_truth_is_known_without_its_volumes(tmp_path):
    found = open_traits("cohort:people/site-a+site-b:32", cache=tmp_path)
    plans = draw_subjects(cohort_settings("cohort:people/site-a+site-b:32", 3.0))
    assert found.names == ("sex", "disease") and list(found.of) == [plan.id for plan in plans]
    for plan in plans:
        assert ", ".join(found.of[plan.id].values()) == plan.group
        assert (found.scanner[plan.id], found.template[plan.id]) == (plan.scanner.name, plan.template)
    for trait in found.names:
        assert sum(found.numbers(trait, found.of)) == 16
    assert not list(tmp_path.iterdir())


def test_a_bids_folder_has_the_traits_of_the_subjects_that_it_has_images_of(tmp_path):
    for subject in ("01", "02"):
        save(tmp_path / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tM\n")
    source = f"folder:{tmp_path}"
    found = open_traits(source, cache=tmp_path / "cache")
    ids = open_source(source, cache=tmp_path / "cache").ids
    assert tuple(found.of) == ids and found.numbers("sex", ids) == (1, 0)
    assert found.scanner == {} and found.template == {}


def test_ids_of_participants_that_are_no_bids_names_agree_with_those_of_the_images(tmp_path):
    for name in ("IXI002-Guys-0828-T1.nii.gz", "IXI012-HH-1211-T1.nii.gz"):
        save(tmp_path / name)
    (tmp_path / "IXI.csv").write_text("IXI_ID,SEX_ID (1=m 2=f)\n2,2\n12,1\n")
    assert open_traits(f"folder:{tmp_path}").of == {"IXI002": {"sex": "female"}, "IXI012": {"sex": "male"}}


@pytest.mark.parametrize("source", ["cohort:heads/t1:4", "sample-heads", "angio:mra:2"])
def test_a_source_without_traits_lists_those_with(source):
    with pytest.raises(
        ValueError,
        match=rf"{source} says nothing .*cohort:people/SCANNER:N, .*-unseen/SCANNER:N, folder:PATH",
    ):
        open_traits(source)
    with pytest.raises(ValueError, match="unknown data source"):
        open_traits("nowhere")
