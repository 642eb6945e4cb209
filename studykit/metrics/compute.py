"""Floating-point operations of a model: 2 for each multiply-accumulate, counted on the meta device.

Matrix products, convolutions and both products of attention count; element-wise work does not. Counting on
the meta device costs no memory for activations and sees attention, which the fused CPU kernel hides.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from studykit.metrics.remembered import remembered


@dataclass(frozen=True)
class Flops:
    """Operations of one pass.

    Attributes:
        total: 2·MAC.
        by_module: total below each module, keyed by its dotted name; the model itself has the empty name.
    """

    total: int
    by_module: dict[str, int]


def count_flops(
    model: nn.Module, input_shape: Sequence[int], *, backward: bool = False, **inputs: Any
) -> Flops:
    """Count the operations of ``model(x, **inputs)`` for an ``x`` of ``input_shape``, or remember them.

    >>> count_flops(nn.Sequential(nn.Conv3d(1, 2, 1)), (1, 1, 4, 4, 4)).total  # 2 * 64 voxels * 2 products
    256

    Args:
        model: any module; it is copied to the meta device, not changed.
        input_shape: shape of the first argument, (B, C, D, H, W) for volumes.
        backward: also count the backward pass of the sum of the outputs.
        inputs: further arguments; tensors among them are taken by shape and dtype only.

    Returns:
        the total, and its share below each module (backward operations count for the model only).
    """
    arguments = {"shape": tuple(input_shape), "backward": backward, **inputs}
    by_module = remembered(
        "flops", model, arguments, lambda: _count(model, input_shape, backward=backward, **inputs)
    )
    return Flops(by_module[""], by_module)


def _count(model: nn.Module, input_shape: Sequence[int], *, backward: bool, **inputs: Any) -> dict[str, int]:
    twin = copy.deepcopy(model).to("meta")
    x = torch.empty(tuple(input_shape), device="meta")
    inputs = {name: v.to("meta") if isinstance(v, Tensor) else v for name, v in inputs.items()}
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        output = twin(x, **inputs)
        forward = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
        if backward:
            sum_of(output).backward()
    root = type(twin).__name__
    by_module = {
        name.removeprefix(root).removeprefix("."): n for name, n in forward.items() if name != "Global"
    }
    return by_module | {"": counter.get_total_flops()}


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters.

    >>> count_parameters(nn.Linear(8, 4))
    36
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def sum_of(output: Any) -> Tensor:
    """The sum of a module's output: a tensor, several, or several by name; what a backward pass begins at.

    >>> float(sum_of({"a": torch.ones(2), "b": torch.ones(3)}))
    5.0
    """
    tensors = (
        output.values() if isinstance(output, dict) else [output] if isinstance(output, Tensor) else output
    )
    return sum(t.sum() for t in tensors)
