"""A task of two subjects in the layout of the Decathlon."""

import json

import numpy as np
from tiny_volumes import blob, save

TASK = "Task04_Hippocampus"


def write_task(root, channels=("MRI",), name=TASK):
    """A task of two subjects in the Decathlon's layout."""
    entries = []
    for case in ("case_002", "case_001"):
        image = np.stack([blob(seed=i) for i in range(len(channels))], -1)
        save(root / name / "imagesTr" / f"{case}.nii.gz", image[..., 0] if len(channels) == 1 else image)
        save(root / name / "labelsTr" / f"{case}.nii.gz", (blob() > 50).astype(np.uint8))
        entries.append({"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"})
    description = {
        "name": "x", "description": "x", "reference": "x", "licence": "x", "tensorImageSize": "3D",
        "modality": {str(i): text for i, text in enumerate(channels)}, "labels": {"0": "air", "1": "it"},
        "numTraining": 2, "numTest": 0, "training": entries, "test": [],
    }  # fmt: skip
    (root / name / "dataset.json").write_text(json.dumps(description))
    return root / name
