"""Sixteen tiny people of two sexes, half of them ill, and a study of them."""

from dataclasses import replace
from pathlib import Path

from tiny_labelled import tiny_transfer_profile, write_labelled_heads

from studykit.arms import profiles
from studykit.study import Study, open_study

VIT = {"patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 1}
VOLTA = {"img_size": 12, "crop_size": 16, "prototypes": 8, "head_dim": 4, "local_views": 1, **VIT}


def write_people(folder: Path) -> Path:
    """Labelled heads with a table of their traits, every combination four times."""
    folder = write_labelled_heads(folder, count=16)
    rows = [f"head{i},{'MF'[i % 2]},{('CN', 'AD')[i % 4 // 2]}" for i in range(16)]
    (folder / "traits.csv").write_text("\n".join(["subject,sex,diagnosis", *rows]), encoding="utf-8")
    return folder


def traits_study(people: Path, monkeypatch) -> Study:
    """Eight people to train on, four to choose by, four to test on; one repetition."""
    tiny = replace(tiny_transfer_profile(), train=8, val=4, test=4, label_fractions=(0.5, 1.0), repetitions=1)
    monkeypatch.setitem(profiles.TRAITS, "smoke", tiny)
    return open_study("volta-transfer", data=f"folder:{people}")
