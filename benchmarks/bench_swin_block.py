"""Our Swin block against MONAI's ``SwinTransformerBlock``, and both against their matrix products alone.

Forward and backward. That both compute the same is held by tests/layers/test_window_attention.py.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from timing import compared, device, is_quick, race, write_result
from torch import nn

from studykit.layers.linear import Linear
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows

WINDOW = 7
NOTES = (
    "A Swin block, window 7³, forward and backward, ours against MONAI's SwinTransformerBlock ({precision}, "
    "batch {batch}). The floor is the block's matrix products alone, timed in the same rounds as each block "
    "calls them, ours through our linear layer, MONAI's through nn.Linear; with its share of a block's time."
)


@dataclass(frozen=True)
class Case:
    """A block on a cubic grid of ``side``³ tokens."""

    dim: int
    heads: int
    side: int
    shift: int
    batch: int

    @property
    def grid(self) -> tuple[int, int, int]:
        return (self.side,) * 3

    @property
    def tokens(self) -> int:
        return self.batch * self.side**3


def contestants(case: Case) -> dict[str, Callable[[], object]]:
    """Both blocks, eager and compiled, and the floor by either way of calling a product."""
    from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask

    window, shift = (WINDOW,) * 3, (case.shift,) * 3
    ours = SwinBlock(case.dim, case.heads, Windows(case.grid, window, shift)).to(device())
    peer = SwinTransformerBlock(case.dim, case.heads, window, shift).to(device())
    mask = compute_mask(case.grid, window, shift, device()) if case.shift else None
    return {
        "ours eager": step(case, ours),
        "peer eager": step(case, peer, mask),
        "ours compiled": step(case, torch.compile(ours, dynamic=False)),
        "peer compiled": step(case, torch.compile(peer, dynamic=False), mask),
        "ours floor": floor(case, Linear),
        "peer floor": floor(case, nn.Linear),
    }


def step(case: Case, block: nn.Module, *mask: torch.Tensor | None) -> Callable[[], object]:
    """One forward and backward pass, down to the input."""
    x = torch.randn(case.batch, *case.grid, case.dim, device=device(), requires_grad=True)
    gradient = torch.randn_like(x)

    def turn() -> None:
        block.zero_grad()
        x.grad = None
        with precision():
            out = block(x, *mask)
        out.backward(gradient.to(out.dtype))

    return turn


def floor(case: Case, linear: type[nn.Linear]) -> Callable[[], object]:
    """Every product of a pass forward and backward; on CPU attention's window by window, in the cache."""
    dtype = torch.bfloat16 if device().type == "cuda" else torch.float32
    settings = {"device": device(), "dtype": dtype}
    c = case.dim
    layers = [linear(i, o, bias=False, **settings) for i, o in ((c, 3 * c), (c, c), (c, 4 * c), (4 * c, c))]
    inputs = [torch.randn(case.tokens, n.in_features, **settings, requires_grad=True) for n in layers]
    gradients = [torch.randn(case.tokens, n.out_features, **settings) for n in layers]
    windows, size = case.tokens // WINDOW**3, WINDOW**3
    at_once = 1 if device().type == "cpu" else windows
    shape = (at_once * case.heads, size, c // case.heads)
    q, k, v, out, spare = (torch.randn(shape, **settings) for _ in range(5))
    scores = torch.empty(shape[0], size, size, **settings)

    def turn() -> None:
        for layer, x, gradient in zip(layers, inputs, gradients, strict=True):
            torch.autograd.grad(layer(x), (x, layer.weight), gradient)
        for _ in range(windows // at_once):
            for left, right, into in (
                (q, k.mT, scores), (scores, v, out),
                (scores.mT, out, spare), (out, v.mT, scores), (scores, k, spare), (scores.mT, q, spare),
            ):  # fmt: skip
                torch.bmm(left, right, out=into)

    return turn


def precision() -> AbstractContextManager[None]:
    return torch.autocast("cuda", torch.bfloat16, enabled=device().type == "cuda")


def main(quick: bool) -> None:
    on_gpu = device().type == "cuda"
    batch, rounds = (16 if on_gpu else 1), (5 if quick else 40)
    compiled_target = 1.5 if on_gpu else 1.15
    pairs = (
        ("eager", "eager", 1.0),
        ("compiled", "compiled", compiled_target),
        ("compiled", "eager", np.nan),
    )
    rows = []
    for dim, heads, side in ((384, 12, 14), (48, 3, 28)):
        for shift in (0, WINDOW // 2):
            torch.compiler.reset()
            times = race(contestants(Case(dim, heads, side, shift, batch)), rounds)
            median = {name: float(np.median(seconds)) for name, seconds in times.items()}
            for mine, theirs, target in pairs:
                rows.append(
                    {"dim": dim, "tokens": f"{side}³", "shift": shift, "ours": mine, "peer": theirs}
                    | compared(times[f"ours {mine}"], times[f"peer {theirs}"], target)
                    | {
                        "ours at floor": median["ours floor"] / median[f"ours {mine}"],
                        "peer at floor": median["peer floor"] / median[f"peer {theirs}"],
                    }
                )
    notes = NOTES.format(precision="bf16 autocast" if on_gpu else "fp32", batch=batch)
    write_result("swin_block", rows, notes, quick=quick)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # A cache of compiled code from before a change to the kernels would be taken as it is.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        main(is_quick(__doc__))
