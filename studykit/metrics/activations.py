"""Bytes that a forward pass keeps for its backward pass, counted without computing anything.

The pass runs on fake tensors, which have a shape and a storage but no numbers, so a volume of 512³ costs no
more than a small one. Autograd's own hooks say what is saved; a storage that several operations save counts
once. What is kept follows the CPU code path; a GPU's attention kernels may keep their bias as well.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from studykit.metrics.remembered import remembered


def kept_bytes(model: nn.Module, input_shape: Sequence[int], **inputs: Any) -> int:
    """Activations held between the forward and the backward pass of ``model(x, **inputs)``, or remembered.

    >>> kept_bytes(nn.Sequential(nn.Linear(8, 4), nn.Tanh()), (2, 8))  # 8 tangents of 4 bytes
    32

    Args:
        model: any module on the CPU; its parameters and buffers do not count.
        input_shape: shape of the first argument, (B, C, D, H, W) for volumes, in the model's precision; not
            counted itself.
        inputs: further arguments, not counted either.

    Returns:
        bytes.
    """
    arguments = {"shape": tuple(input_shape), **inputs}
    return remembered("kept", model, arguments, lambda: {"bytes": _count(model, input_shape, **inputs)})[
        "bytes"
    ]


def _count(model: nn.Module, input_shape: Sequence[int], **inputs: Any) -> int:
    fake = FakeTensorMode()
    with fake:
        state = {
            name: fake.from_tensor(tensor)
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]
        }
        x = torch.empty(tuple(input_shape), dtype=next(model.parameters()).dtype)
        inputs = {name: fake.from_tensor(v) if isinstance(v, Tensor) else v for name, v in inputs.items()}
        given = {_identity(v) for v in (*state.values(), x, *inputs.values()) if isinstance(v, Tensor)}
        kept: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: Tensor) -> Tensor:
            if _identity(tensor) not in given:
                kept[_identity(tensor)] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            # Tying would swap a module that sits in several places twice, and leave it with fake tensors.
            output = torch.func.functional_call(model, state, (x,), inputs, tie_weights=False)
        total = sum(storage.nbytes() for storage in kept.values())
    del output
    return total


def _identity(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
