"""Our SwinUNETR against MONAI's ``SwinUNETR``, and ours against its convolutions and products alone.

Forward and backward. That both compute the same is held by tests/models/test_swin_unetr.py.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from memory import peak_bytes
from timing import compared, device, is_quick, processor, race, write_result
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from studykit.metrics.compute import count_flops
from studykit.models import build_model

CLASSES = 5
OURS, PEER, FLOOR = "ours", "MONAI", "floor"
NOTES = (
    "SwinUNETR of {classes} classes, forward and backward down to the parameters: ours against MONAI's "
    "({precision}, eager). The floor is our convolutions and matrix products alone, called once more on "
    "numbers of the same shapes in the same rounds, with its share of our time. GFLOPs: forward and backward "
    "pass, 2 for each multiply-accumulate. Peak memory: the most that torch's allocator holds at once, "
    "parameters included, counted in a process of its own."
)


@dataclass(frozen=True)
class Case:
    """Voxels an axis of a crop, channels of the finest map, crops a batch."""

    side: int
    width: int = 24
    batch: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, 1, self.side, self.side, self.side)


QUICK = (Case(64, width=12),)
ON_CPU = (Case(64), Case(96))
ON_GPU = (Case(96, width=48, batch=2), Case(128, width=48))


def build(name: str, case: Case) -> nn.Module:
    if name == OURS:
        return build_model("swin-unetr", img_size=case.side, num_classes=CLASSES, feature_size=case.width)
    from monai.networks.nets import SwinUNETR

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        return SwinUNETR(in_channels=1, out_channels=CLASSES, feature_size=case.width)


def step(name: str, case: Case) -> Callable[[], object]:
    """One forward and backward pass, down to the parameters."""
    network = build(name, case).to(device())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(case.shape, generator=generator).to(device())
    gradient = torch.randn(case.batch, CLASSES, *case.shape[2:], generator=generator).to(device())

    def turn() -> None:
        network.zero_grad()
        with precision():
            scores = network(image)
        scores.backward(gradient.to(scores.dtype))

    return turn


def floor(case: Case) -> Callable[[], object]:
    """What a step of ours cannot do without, one call after the other."""
    with Products() as products:
        step(OURS, case)()

    def turn() -> None:
        for function, arguments in products.calls:
            function(*arguments)

    return turn


class Products(TorchDispatchMode):
    """While active, notes convolutions and matrix products, with numbers of the shapes that they saw."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., object], list[Any]]] = []
        self.spare: dict[tuple, Tensor] = {}
        aten, ours = torch.ops.aten, torch.ops.studykit
        self.noted = {
            aten.convolution.default, aten.convolution_backward.default, aten.mm.default, aten.addmm.default,
            aten.bmm.default, ours.product.default,
        }  # fmt: skip

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        out = function(*arguments, **(options or {}))
        if function in self.noted:
            self.calls.append((function, [self._like(a) if isinstance(a, Tensor) else a for a in arguments]))
        elif function is torch.ops.studykit.windowed_attention.default:
            self._attention(arguments[0].shape)
        return out

    def _like(self, x: Tensor) -> Tensor:
        key = (x.shape, x.stride(), x.dtype)
        if key not in self.spare:
            self.spare[key] = torch.empty_strided(
                x.shape, x.stride(), dtype=x.dtype, device=x.device
            ).normal_()
        return self.spare[key]

    def _attention(self, shape: torch.Size) -> None:
        """Its two products forward and five backward, window by window, in the cache."""
        batch, windows, tokens, _, heads, channels = shape
        few, many = torch.randn(heads, tokens, channels), torch.randn(heads, tokens, tokens)
        wide = partial(torch.bmm, out=many.clone())
        narrow = partial(torch.bmm, out=torch.empty(heads, channels, tokens))
        one = [(wide, [few, few.mT])] * 3 + [(narrow, [few.mT, many])] * 3 + [(narrow, [few.mT, many.mT])]
        self.calls += one * (batch * windows)


def cost(name: str, case: Case, quick: bool) -> dict[str, float]:
    """Operations and memory of a step; a process for each contestant takes longer than a quick run may."""
    flops = count_flops(build(name, case), case.shape, backward=True).total
    peak = float("nan") if quick else peak_bytes(partial(step, name, case)) / 1e6
    return {"GFLOPs": flops / 1e9, "peak (MB)": peak}


def precision() -> AbstractContextManager[None]:
    return torch.autocast("cuda", torch.bfloat16, enabled=device().type == "cuda")


def main(quick: bool) -> None:
    on_gpu = device().type == "cuda"
    rows = []
    for case in QUICK if quick else ON_GPU if on_gpu else ON_CPU:
        contestants = {name: step(name, case) for name in (OURS, PEER)}
        if not on_gpu:
            contestants[FLOOR] = floor(case)
        times = race(contestants, rounds=1 if quick else 5, warm_up=1, clock=processor)
        row = {"crop": f"{case.side}³", "width": case.width, "batch": case.batch}
        row |= compared(times[OURS], times[PEER], target=1.5)
        if FLOOR in times:
            row["ours at floor"] = float(np.median(times[FLOOR]) / np.median(times[OURS]))
        del contestants
        ours, peer = (cost(name, case, quick) for name in (OURS, PEER))
        row |= {
            f"{whose} {what}": costs[what]
            for what in ours
            for whose, costs in (("ours", ours), ("peer", peer))
        }
        rows.append(row)
    notes = NOTES.format(classes=CLASSES, precision="bf16 autocast" if on_gpu else "fp32")
    write_result("swin_unetr", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
