"""Five small smooth heads on disk and a profile of some seconds, for whoever needs a whole study."""

from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from studykit.arms.arm import Arm
from studykit.arms.profiles import Profile

if TYPE_CHECKING:
    from studykit.study import Study

STUDY = "bertswin-convergence"
SUBJECTS = ("ada", "ben", "cleo", "dora", "emil")
MAE = {"embed_dim": 48, "depth": 1, "num_heads": 2, "mlp_dim": 48, "decoder_dim": 24, "decoder_depth": 1}
MAE |= {"decoder_num_heads": 2, "decoder_mlp_dim": 24}
BERTSWIN = {"embed_dim": 48, "depth": 2, "num_heads": 2, "window_size": 2}


def tiny_profile(name: str = "smoke") -> Profile:
    """Four steps on crops of 4 x 4 x 4 patches; two learning rates, tuned for two steps each."""
    return Profile(
        name=name, spacing_mm=4.0, crop_size=16, patch_size=4, embed_dim=48, depth=1, num_heads=2,
        window_size=2, batch_size=2, steps=4, warmup_steps=1, eval_every=2, checkpoint_every=2,
        snapshot_every=2, crops_per_subject=2, repetitions=2, learning_rates=(1e-3, 3e-3), tuning_steps=2,
        tuning_extensions=0,
    )  # fmt: skip


def write_head(path: Path, seed: int) -> Path:
    """An ellipsoid of soft blobs in air, 4 mm voxels, as NIfTI; other seeds give other heads."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 26)] * 3, indexing="ij"))
    inside = (grid**2 / np.array([0.8, 0.7, 0.9])[:, None, None, None]).sum(0) < 1
    tissue = np.full(grid.shape[1:], 100.0)
    for centre in rng.uniform(-0.6, 0.6, (6, 3)):
        distance = ((grid - centre[:, None, None, None]) ** 2).sum(0)
        tissue += rng.uniform(-60, 120) * np.exp(-distance / 0.08)
    nib.save(nib.Nifti1Image((inside * tissue).astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0])), path)
    return path


def write_heads(folder: Path) -> Path:
    """All subjects, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(SUBJECTS):
        write_head(folder / f"{name}.nii", seed)
    return folder


def two_arms(study: "Study") -> tuple[Arm, Arm]:
    """The tiny MAE-ViT and the tiny BertsWin as arms of a study."""
    return study.arm("MAE-ViT", "mae", **MAE), study.arm("BertsWin", "bertswin", **BERTSWIN)
