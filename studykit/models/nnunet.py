"""A residual encoder's weights in nnU-Net's names, with the plan that its fine-tuning reads.

nnU-Net builds ``ResEncL`` and takes over what a checkpoint's ``nnssl_adaptation_plan`` points at, the stem
and the stages of the encoder (``nnUNetv2_preprocess_like_nnssl`` or ``nnUNetv2_plan_like_dynamic``, then
``nnUNetv2_train_pretrained``). Our ``residual-unet`` has its shapes at :data:`RESENC_L`. Two things differ:

- convolutions there have a bias, which is 0 at first;
- where a block halves the resolution, its shortcut there takes the mean of 2³ voxels before its 1³
  convolution, ours one of them; where it keeps its width besides, it has no convolution there, so that of our
  last stage is left out. The start is near the pre-trained function rather than equal to it.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

RESENC_L = {
    "widths": (32, 64, 128, 256, 320, 320),
    "depths": (1, 3, 4, 6, 6, 6),
    "stem_stride": 1,
    "norm": "instance",
}
"""Options of ``residual-unet`` with the shapes of nnU-Net's ResEncL encoder."""
NO_PLACE = "stages.5.0.shortcut"
"""The convolution of a shortcut between stages of one width."""

PREFIX = "model.encoder."
STEM, ENCODER = "encoder.stem", "encoder.stages"
PLACES = {"first": "conv1", "second": "conv2"}
PATCH = (160, 160, 160)
"""Recommended downstream, voxels; that of nnU-Net's own pre-trained ResEncL."""


def nnunet_checkpoint(
    weights: Mapping[str, Tensor], options: Mapping[str, Any], spacing_mm: float, citations: list[str]
) -> dict[str, Any]:
    """What ``torch.save`` is to write for nnU-Net; ``torch.load(..., weights_only=True)`` reads it.

    Args:
        weights: of a method, names such as ``model.encoder.stem.conv.weight``.
        options: of the method's ``residual-unet``, ``img_size`` among them.
        spacing_mm: voxel size of the pre-training.
        citations: of data and method, which nnU-Net prints.

    Raises:
        ValueError: an encoder of another model or of other sizes; the message says which.
    """
    if options.get("model") != "residual-unet":
        raise ValueError(
            f"nnU-Net has no encoder like that of {options.get('model')}; residual-unet goes there"
        )
    for name, value in RESENC_L.items():
        own = options.get(name)
        own = tuple(own) if isinstance(own, list) else own
        if own != value:
            raise ValueError(
                f"nnU-Net's ResEncL has {name} {value}, this encoder {own}: pre-train with those"
            )
    side = options["img_size"]
    patch = [side] * 3 if isinstance(side, int) else list(side)
    return {
        "network_weights": _renamed(weights),
        "citations": list(citations),
        "nnssl_adaptation_plan": {
            "architecture_plans": {
                "arch_class_name": "ResEncL",
                "arch_kwargs": None,
                "arch_kwargs_requiring_import": None,
            },
            "pretrain_plan": {
                "plans_name": "studykit",
                "configurations": {
                    "onemmiso": {
                        "spacing": [spacing_mm] * 3,
                        "patch_size": patch,
                        "normalization_schemes": ["ZScoreNormalization"],
                        "use_mask_for_norm": [False],
                    }
                },
            },
            "pretrain_num_input_channels": options.get("in_channels", 1),
            "recommended_downstream_patchsize": list(PATCH),
            "key_to_encoder": ENCODER,
            "key_to_stem": STEM,
            "keys_to_in_proj": [f"{STEM}.convs.0.conv", f"{STEM}.convs.0.all_modules.0"],
            "key_to_lpe": None,
        },
    }


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's weights by nnU-Net's names, each layer twice: by itself, and in the list of its block."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if not name.startswith(PREFIX) or name.startswith(f"{PREFIX}{NO_PLACE}."):
            continue
        layer, kind, end = name.removeprefix(PREFIX).rsplit(".", 2)
        place = _place(layer)
        number = {"conv": 0, "norm": 1}[kind]
        for alias in (kind, f"all_modules.{number}"):
            found[f"{place}.{alias}.{end}"] = value
        if kind == "conv" and ".skip." not in place:
            for alias in ("conv", "all_modules.0"):
                found[f"{place}.{alias}.bias"] = torch.zeros(value.shape[0])
    return found


def _place(layer: str) -> str:
    """nnU-Net's name of a convolution with its norm."""
    if layer == "stem":
        return f"{STEM}.convs.0"
    stage, block, part = re.fullmatch(r"stages\.(\d+)\.(\d+)\.(first|second|shortcut)", layer).groups()
    if part == "shortcut":
        # Behind the mean of 2³ voxels, where there is one: in all stages but the first.
        part = f"skip.{int(int(stage) > 0)}"
    return f"{ENCODER}.{stage}.blocks.{block}.{PLACES.get(part, part)}"
