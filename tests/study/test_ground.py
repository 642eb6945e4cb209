"""The ground of a study: bad volumes named, one split, and held-out subjects that reach nothing else."""

import pytest
import torch
from tiny_study import STUDY, SUBJECTS, two_arms, write_head, write_heads

from studykit.data.splits import Split


def test_too_few_subjects(tiny, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for seed in (0, 1):
        write_head(folder / f"head{seed}.nii", seed)
    study = tiny(data=f"folder:{folder}")
    with pytest.raises(ValueError, match=r"has 2 usable subject\(s\); a study needs at least 3"):
        study.split  # noqa: B018


def test_one_bad_volume_is_named_and_skipped_and_all_bad_is_an_error(tiny, tmp_path):
    folder = write_heads(tmp_path / "heads")
    (folder / "broken.nii").write_bytes(b"not a volume")
    study = tiny(data=f"folder:{folder}")
    with pytest.warns(UserWarning, match=r"left out broken: .*broken\.nii"):
        run = study.run(two_arms(study)[0])
    assert run.state == "done"
    assert {v.subject for v in study.data.volumes} == set(SUBJECTS)
    assert [entry.subject for entry in study.data.refused] == ["broken"]
    for path in folder.iterdir():
        path.write_bytes(b"not a volume")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match=r"not one of 6 volumes can be used\n.*ada\.nii"),
    ):
        tiny(data=f"folder:{folder}").data  # noqa: B018


def test_the_split_is_saved_and_the_same_again(tiny, results):
    split = tiny().split
    assert Split.load(results / STUDY / "smoke-own" / "split.json") == split == tiny().split
    assert sorted([*split.train, *split.val, *split.test]) == list(SUBJECTS)
    assert len(split.val) == 1 and len(split.test) == 2


def test_held_out_and_tuning_subjects_reach_only_what_is_theirs(tiny, tmp_path, monkeypatch):
    """New voxels in a part of the split move the numbers of that part, and no others."""

    def measured(folder, name):
        monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / name))
        study = tiny(data=f"folder:{folder}")
        arm, _ = two_arms(study)
        run = study.run(arm)
        tuning = study.tune(arm)[1]["error"].tolist()
        training = run.metrics[["train/total", "grad_norm"]].dropna().to_numpy().tolist()
        return {
            "training": training,
            "tuning": tuning,
            "testing": run.metrics["val/error"].tolist(),
        }, study.split

    folder = write_heads(tmp_path / "heads")
    before, split = measured(folder, "before")
    for part, alone in (("test", "testing"), ("val", "tuning")):
        for subject in getattr(split, part):
            write_head(folder / f"{subject}.nii", seed=50)
        after, again = measured(folder, f"after-{part}")
        assert again == split
        assert {name for name in before if before[name] != after[name]} == {alone}
        before = after


def test_held_out_crops_and_masks_are_the_same_for_both_arms(tiny):
    study = tiny()
    (crops, masks, subjects), (crops2, masks2, subjects2) = (
        study.held_out(study.untrained(arm)) for arm in two_arms(study)
    )
    assert torch.equal(crops, crops2) and torch.equal(masks, masks2) and subjects == subjects2
    assert crops.shape == (4, 1, 16, 16, 16) and masks.shape == (4, 4, 4, 4)
    assert subjects == [name for name in sorted(study.split.test) for _ in range(2)]


def test_a_folder_whose_volumes_changed_is_read_again_by_a_new_study(tiny, tmp_path):
    folder = write_heads(tmp_path / "heads")
    before = tiny(data=f"folder:{folder}").data.fingerprint
    write_head(folder / "ada.nii", seed=77)
    assert tiny(data=f"folder:{folder}").data.fingerprint != before
