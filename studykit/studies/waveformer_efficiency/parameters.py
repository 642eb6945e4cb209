"""Parameters of networks by part and by reading, and the arms of the segmentation study."""

from typing import TYPE_CHECKING

import pandas as pd

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.imports import without_url_grammar
from studykit.metrics.compute import count_parameters
from studykit.models.waveformer import WaveFormer
from studykit.studies.waveformer_efficiency.attention_cost import transform_operations

if TYPE_CHECKING:
    from studykit.study.study import Study


def swin_unetr_parameters() -> int:
    """Parameters of MONAI's SwinUNETR at feature size 48, four channels in and four classes out."""
    with without_url_grammar():
        from monai.networks.nets import SwinUNETR

    return count_parameters(SwinUNETR(in_channels=4, out_channels=4, feature_size=48))


def parameters_by_part(network: WaveFormer) -> dict[str, int]:
    """Parameters of each part of encoder and decoder, and of the head."""
    halves = {"encoder": network.encoder, "decoder": network.decoder}
    parts = {f"{half}: {name}": part for half, own in halves.items() for name, part in own.named_children()}
    return {name: count_parameters(part) for name, part in (parts | {"head": network.head}).items()}


def parameters_by_reading(network: WaveFormer) -> dict[str, int]:
    """Parameters as released and with plain trilinear branches, with the network's classes and one less.

    Plain branches keep the 1×1×1 convolution that brings them to one width, and lose the refinement.
    """
    refined = sum(count_parameters(up) - count_parameters(up.shortcut) for up in network.decoder.upsamplings)
    ours, class_size = count_parameters(network), network.head.in_channels + 1
    return {
        "branches upsampled as released": ours,
        "plain trilinear branches": ours - refined,
        "as released, three classes": ours - class_size,
        "plain trilinear branches, three classes": ours - refined - class_size,
    }


def described(study: "Study", name: str) -> dict[str, str | int | float]:
    """Parameters, forward operations of a crop, and those of the transforms, which come on top."""
    method = study.untrained(name)
    transforms = sum(
        block.norm1.normalized_shape[0] * transform_operations(block.size, block.level, block.details)
        for stage in method.model.encoder.stages
        for block in stage
    )
    return {
        "arm": name,
        "parameters": count_parameters(method),
        "GFLOP of a crop": study.flops(name).total / 1e9,
        "transforms (MFLOP)": transforms / 1e6,
    }


def over_seeds(scores: pd.DataFrame, column: str) -> Estimate:
    """Mean over structures and subjects of a test score, with its interval over seeds."""
    own = scores.groupby(["seed", "subject"], sort=False)[column].mean()
    return mean_interval(own.groupby("seed", sort=False).mean())
