"""Kernels that a pass launches, counted on the meta device: of small networks they, not operations, decide.

A card begins a kernel of a replayed graph every few microseconds, however little it computes.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from studykit.metrics.compute import sum_of
from studykit.metrics.remembered import remembered

NO_KERNEL = ("aten::empty", "aten::new_empty", "aten::_unsafe_view", "aten::detach")
"""What launches nothing, beside views."""


def count_kernels(
    model: nn.Module, input_shape: Sequence[int], *, backward: bool = False, **inputs: Any
) -> int:
    """Kernels of ``model(x, **inputs)`` for an ``x`` of ``input_shape``, or remember them.

    One for each operation of torch but views, in single precision: casts of autocast come on top, and what a
    compiler would fuse counts apart.

    >>> count_kernels(nn.Sequential(nn.Flatten(), nn.Linear(8, 2), nn.ReLU()), (1, 8))
    2

    Args:
        model: any module; it is copied to the meta device, not changed.
        input_shape: shape of the first argument, (B, C, D, H, W) for volumes.
        backward: also count the backward pass of the sum of the outputs.
        inputs: further arguments; tensors among them are taken by shape and dtype only.
    """
    arguments = {"shape": tuple(input_shape), "backward": backward, **inputs}

    def count() -> dict[str, int]:
        twin = copy.deepcopy(model).to("meta")
        x = torch.empty(tuple(input_shape), device="meta")
        moved = {name: v.to("meta") if isinstance(v, Tensor) else v for name, v in inputs.items()}
        launches = _Launches()
        with torch.set_grad_enabled(backward):
            with launches:
                output = twin(x, **moved)
            if backward:
                total = sum_of(output)
                with launches:
                    total.backward()
        return {"": launches.count}

    return remembered("kernels", model, arguments, count)[""]


class _Launches(TorchDispatchMode):
    """Counts operations that a device does."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = (one.alias_info for one in func._schema.returns)
        view = any(alias is not None and not alias.is_write for alias in returned)
        self.count += not (view or func._schema.name.startswith(NO_KERNEL))
        return func(*args, **(kwargs or {}))
