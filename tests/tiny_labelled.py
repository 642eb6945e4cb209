"""Small heads with label maps, in the layout of the Decathlon, and a labelled profile of some seconds."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from tiny_study import write_head

from studykit.arms.profiles import TransferProfile

STUDY = "nnformer-data-efficiency"
CLASSES = ("core", "shell")
UNET = {"model": "unet", "channels": [4, 8, 8]}


def tiny_transfer_profile(name: str = "smoke") -> TransferProfile:
    """Four steps on crops of 16³; eight subjects, of which four train."""
    return TransferProfile(
        name=name, spacing_mm=4.0, crop_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=1,
        window_size=2, batch_size=2, steps=4, warmup_steps=1, eval_every=2, checkpoint_every=2,
        snapshot_every=4, crops_per_subject=2, repetitions=2, learning_rates=(1e-3, 3e-3), tuning_steps=2,
        tuning_extensions=0, train=4, val=2, test=2, pretraining_steps=4, label_fractions=(0.25, 1.0),
    )  # fmt: skip


def write_labelled_heads(folder: Path, count: int = 8) -> Path:
    """``imagesTr``, ``labelsTr`` and ``dataset.json``: a bright core in a bright shell."""
    images, labels = folder / "imagesTr", folder / "labelsTr"
    images.mkdir(parents=True), labels.mkdir()
    for number in range(count):
        name = f"head{number}.nii.gz"
        image = nib.load(write_head(folder / "one.nii", seed=number))
        values = np.asarray(image.dataobj).copy()
        grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in values.shape], indexing="ij"))
        distance = ((grid - 0.02 * number) ** 2).sum(0)
        label = (distance < 0.25).astype(np.uint8) + (distance < 0.08)
        truth = np.choose(label, [0, 2, 1]).astype(np.uint8)
        values += 60 * label
        nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine), images / name)
        nib.save(nib.Nifti1Image(truth, image.affine), labels / name)
    (folder / "one.nii").unlink()
    listing = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", **{str(i): name for i, name in enumerate(CLASSES, start=1)}},
        "training": [
            {"image": f"./imagesTr/head{n}.nii.gz", "label": f"./labelsTr/head{n}.nii.gz"}
            for n in range(count)
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(listing), encoding="utf-8")
    return folder
