"""Weights of our SwinUNETR from MONAI's and back."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from studykit.models.swin_unetr import SwinUnetr
from studykit.registry import check_known

MERGINGS = {"merging": (0, 3, 2, 6, 1, 5, 4, 7), "mergingv2": tuple(range(8))}
"""Where each of the eight tokens of our patch merging, in raster order, stands in MONAI's of that name."""

STAGES = 4
"""Of MONAI's SwinUNETR."""

_SWITCHES = re.compile(r"encoder\.fused\.|\.log_sharpness$|\.condition\.")
_NAMES = (  # of ours, as patterns, to MONAI's
    (r"^encoder\.voxels\.(conv\d)", r"encoder1.layer.\1.conv"),
    (r"^encoder\.patches", "swinViT.patch_embed.proj"),
    (r"^encoder\.stages\.(\d)\.conv\.(conv\d)", r"swinViT.layers\1c.0.layer.\2.conv"),
    (r"^encoder\.stages\.(\d)\.blocks", r"swinViT.layers\1.0.blocks"),
    (r"^encoder\.stages\.(\d)\.merging", r"swinViT.layers\1.0.downsample"),
    (r"position_bias\.table$", "relative_position_bias_table"),
    (r"mlp\.0\.", "mlp.linear1."),
    (r"mlp\.2\.", "mlp.linear2."),
    (r"^decoder\.own\.6\.(conv\d)", r"encoder10.layer.\1.conv"),
    (r"^decoder\.own\.(\d)\.(conv\d)", r"encoder\1.layer.\2.conv"),
    (r"^decoder\.ups\.(\d)\.conv\.", r"decoder\1.transp_conv.conv."),
    (r"^decoder\.ups\.(\d)\.block\.(conv\d)", r"decoder\1.conv_block.\2.conv"),
    (r"^head\.", "out.conv.conv."),
)


def from_monai(model: SwinUnetr, state: Mapping[str, Tensor], downsample: str = "merging") -> None:
    """Give a MONAI ``SwinUNETR``'s weights to a model of the same sizes; its switches keep their own.

    Args:
        model: gets the weights.
        state: MONAI's ``state_dict``.
        downsample: how MONAI's model was built, which its weights do not say.

    Raises:
        ValueError: weights of other sizes, such as another ``feature_size``, or of something else; the
            message says which.
    """
    _check_stages(model)
    own = model.state_dict()
    shared = {_monai_name(name): name for name in own if not _SWITCHES.search(name)}
    given = {name: value for name, value in state.items() if not name.endswith("relative_position_index")}
    if missing := sorted(shared.keys() - given.keys()):
        hint = " Was it built with use_v2=False?" if "c.0.layer" in missing[0] else ""
        raise ValueError(f"The checkpoint is of no such SwinUNETR: it lacks {missing[0]}.{hint}")
    if extra := sorted(given.keys() - shared.keys()):
        hint = " Was it built with use_v2=True?" if "c.0.layer" in extra[0] else ""
        raise ValueError(f"The model has no place for {extra[0]} of the checkpoint.{hint}")
    _check_sizes(_sizes(given), _sizes({theirs: own[ours] for theirs, ours in shared.items()}))
    weights = {ours: given[theirs] for theirs, ours in shared.items()}
    model.load_state_dict(_merged_in(weights, _order(downsample)), strict=False)


def to_monai(model: SwinUnetr, downsample: str = "merging") -> dict[str, Tensor]:
    """Weights for a MONAI ``SwinUNETR`` of the same sizes; MONAI's buffers are not among them.

    Args:
        downsample: how MONAI's model is built.

    Raises:
        ValueError: the model has a switch on, which MONAI's has not, or other than four stages.
    """
    _check_stages(model)
    own = model.state_dict()
    if switched := [name for name in own if _SWITCHES.search(name)]:
        raise ValueError(
            f"MONAI's SwinUNETR has neither fusion nor adaptive attention, so no place for {switched[0]}."
        )
    return swin_names(own, downsample)


def swin_names(weights: Mapping[str, Tensor], downsample: str = "merging") -> dict[str, Tensor]:
    """Weights of our SwinUNETR, or of a part of it, by MONAI's names; its switches are left out.

    Args:
        weights: by our names, such as ``encoder.patches.weight``.
        downsample: how MONAI's model is built.
    """
    order = _order(downsample)
    inverse = tuple(order.index(place) for place in range(len(order)))
    shared = {name: value for name, value in weights.items() if not _SWITCHES.search(name)}
    return {_monai_name(name): value for name, value in _merged_in(shared, inverse).items()}


def _monai_name(name: str) -> str:
    """MONAI's name of a weight of ours; it counts stages, maps and steps from 1."""
    name = re.sub(r"^(encoder\.stages|decoder\.own|decoder\.ups)\.(\d)", _one_more, name)
    for ours, theirs in _NAMES:
        name = re.sub(ours, theirs, name)
    return name


def _one_more(match: re.Match[str]) -> str:
    return f"{match[1]}.{int(match[2]) + 1}"


def _merged_in(weights: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
    """``weights`` with the inputs of each patch merging in another order of the eight tokens."""

    def moved(name: str, value: Tensor) -> Tensor:
        if ".merging." not in name:
            return value
        return value.unflatten(-1, (len(order), -1))[..., list(order), :].flatten(-2)

    return {name: moved(name, value) for name, value in weights.items()}


def _order(downsample: str) -> tuple[int, ...]:
    check_known("downsample", downsample, MERGINGS)
    return MERGINGS[downsample]


def _check_stages(model: SwinUnetr) -> None:
    if len(model.depths) != STAGES:
        raise ValueError(f"MONAI's SwinUNETR has {STAGES} stages, this one {len(model.depths)}.")


def _sizes(state: Mapping[str, Tensor]) -> dict[str, object]:
    """What the shapes of MONAI's weights say of its options."""
    patches = state["swinViT.patch_embed.proj.weight"].shape
    tables = [
        state[f"swinViT.layers{stage}.0.blocks.0.attn.relative_position_bias_table"].shape
        for stage in range(1, STAGES + 1)
    ]
    return {
        "feature_size": patches[0],
        "in_channels": patches[1],
        "num_classes": state["out.conv.conv.weight"].shape[0],
        "num_heads": tuple(table[1] for table in tables),
        "window_size": f"of {tables[0][0]} offsets",
    }


def _check_sizes(theirs: Mapping[str, object], ours: Mapping[str, object]) -> None:
    for option, value in theirs.items():
        if value != ours[option]:
            raise ValueError(
                f"The checkpoint has {option} {value}, the model {ours[option]}: build the model with the "
                "checkpoint's."
            )
