"""A plain SwinUNETR as large and as dear as an arm with fusion or adaptive attention: size as a baseline.

Two things make the plain network larger: channels everywhere, and more Swin blocks in single stages. Channels
come in steps of the heads, and each step is half as much again for narrow networks; blocks fill what is
between. What is counted is what :mod:`studykit.metrics.compute` counts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model
from studykit.models.swin_unetr import SwinUnetr

MODEL = "swin-unetr"
SWITCHES = ("fusion", "kernels", "fusion_channels", "attention")
WIDEST = 2.0
"""Times the arm's ``feature_size``."""
MOST_BLOCKS = 2
"""More than the arm has, in each stage."""


@dataclass(frozen=True)
class Matched:
    """A plain SwinUNETR and what it takes.

    Attributes:
        options: of the model.
        parameters: trainable ones.
        flops: of a forward pass of one crop, 2 for each multiply-accumulate.
        parameter_ratio, flop_ratio: over those of the arm that it is to match.
    """

    options: Mapping[str, Any]
    parameters: int
    flops: int
    parameter_ratio: float
    flop_ratio: float


def matched_swin_unetr(arm: Mapping[str, Any], at_least: bool = True) -> Matched:
    """The plain SwinUNETR nearest in parameters and operations to an arm.

    Nearest is where the larger of the two ratios, or of their inverses, is least.

    Args:
        arm: options of its ``swin-unetr``, ``img_size`` among them.
        at_least: look only among those that have no fewer parameters and operations than the arm, so that
            what the arm gains cannot be its size.

    Raises:
        ValueError: none of the networks tried is that large.
    """
    parameters, flops = _cost(build(arm), arm)
    plain = {name: value for name, value in arm.items() if name not in SWITCHES}
    found = [
        Matched(options, p, f, p / parameters, f / flops)
        for options, p, f in _candidates(plain)
        if not at_least or (p >= parameters and f >= flops)
    ]
    if not found:
        raise ValueError(
            f"No plain SwinUNETR up to {WIDEST:g} times as wide as the arm has its {parameters} parameters "
            f"and {flops} operations."
        )
    return min(found, key=lambda m: max(abs(math.log(m.parameter_ratio)), abs(math.log(m.flop_ratio))))


def build(options: Mapping[str, Any]) -> SwinUnetr:
    """A SwinUNETR without memory for its weights."""
    with torch.device("meta"):
        return build_model(MODEL, **options)


def _cost(model: SwinUnetr, options: Mapping[str, Any]) -> tuple[int, int]:
    shape = (1, options.get("in_channels", 1), *model.img_size)
    return count_parameters(model), count_flops(model, shape).total


def _candidates(plain: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Options, parameters and operations of wider and deeper networks; a stage's blocks all cost the same."""
    start = build(plain)
    narrow, depths = start.channels[0], start.depths
    step = _step(start.num_heads)
    for width in range(narrow, int(WIDEST * narrow) + 1, step):
        wide = {**plain, "feature_size": width}
        model = build(wide)
        parameters, flops = _cost(model, wide)
        blocks = _block_costs(model, wide)
        for more in product(range(MOST_BLOCKS + 1), repeat=len(depths)):
            options = {**wide, "depths": tuple(d + m for d, m in zip(depths, more, strict=True))}
            yield (
                options,
                parameters + sum(m * p for m, (p, _) in zip(more, blocks, strict=True)),
                flops + sum(m * f for m, (_, f) in zip(more, blocks, strict=True)),
            )


def _block_costs(model: SwinUnetr, options: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Parameters and operations of a Swin block of each stage."""
    shape = (1, options.get("in_channels", 1), *model.img_size)
    by_module = count_flops(model, shape).by_module
    return [
        (count_parameters(stage.blocks[0]), by_module[f"encoder.stages.{i}.blocks.0"])
        for i, stage in enumerate(model.encoder.stages)
    ]


def _step(num_heads: Sequence[int]) -> int:
    """Least number of channels whose multiples every stage's heads divide."""
    return math.lcm(*(heads // math.gcd(heads, 2**i) for i, heads in enumerate(num_heads)))
