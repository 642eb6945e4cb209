"""What networks of the spine ablation cost, counted: parameters, and operations by the side of a crop."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model

Network = tuple[str, Mapping[str, Any]]
"""Name of a model, and its options."""

_SWIN = {"feature_size": 24, "depths": (2, 2, 2, 2), "num_heads": (3, 6, 12, 24), "window_size": 7}
PUBLISHED: Mapping[str, Network] = {
    "3D U-Net": ("unet", {"channels": (24, 48, 96, 192)}),
    "SwinUNETR": ("swin-unetr", _SWIN),
    "SwinUNETR + both": ("swin-unetr", _SWIN | {"fusion": "scalars", "attention": "conditioned"}),
}
"""At the width and the windows that SwinUNETR was published with as its small form; the U-Net as wide."""


def cost_of(network: Network, crop_size: int, num_classes: int) -> tuple[int, int]:
    """Parameters, and operations of the forward pass of one crop, 2 for each multiply-accumulate."""
    name, options = network
    with torch.device("meta"):
        model = build_model(name, img_size=crop_size, num_classes=num_classes, **options)
    return count_parameters(model), count_flops(model, (1, 1, *(crop_size,) * 3)).total


def cost_rows(networks: Mapping[str, Network], crop_size: int, num_classes: int) -> pd.DataFrame:
    """One row an arm: its cost, and the cost over that of the ``3D U-Net``."""
    costs = {arm: cost_of(network, crop_size, num_classes) for arm, network in networks.items()}
    first = costs["3D U-Net"]
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "parameters": parameters,
                "forward GFLOP": flops / 1e9,
                "parameters over U-Net": parameters / first[0],
                "GFLOP over U-Net": flops / first[1],
            }
            for arm, (parameters, flops) in costs.items()
        ]
    )


def costs_by_crop(sides: Sequence[int], num_classes: int = 5) -> pd.DataFrame:
    """Forward GFLOP of each of :data:`PUBLISHED` by the side of the crop: columns ``crop`` and the networks.

    Args:
        sides: voxels an axis, multiples of 8, of which the U-Net's four levels are made.
    """
    rows = [
        {"crop": side}
        | {name: cost_of(network, side, num_classes)[1] / 1e9 for name, network in PUBLISHED.items()}
        for side in sides
    ]
    return pd.DataFrame(rows)
