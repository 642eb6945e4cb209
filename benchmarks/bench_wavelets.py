"""Our Haar transform of a volume against ptwt's, forward and backward, with and without the inverse.

That both compute the same is held by tests/layers/test_wavelets.py.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from memory import peak_bytes
from timing import compared, device, is_quick, processor, race, write_result
from torch import Tensor

from studykit.layers.wavelets import dwt3d, idwt3d

SIZE = (48, 48, 48)
SHAPE = (2, 48, *SIZE)
NOTES = (
    f"One level of Haar of float32 (B, C, D, H, W) = {SHAPE}: the transform alone, or with its inverse, and "
    "the gradient at the volume for given gradients of what comes out. Ours: dwt3d and idwt3d. Peer: ptwt's "
    "wavedec3 and waverec3, eager. Peak memory: the most that torch's allocator holds at once, the volume "
    "and the given gradients included, counted in a process of its own."
)

Passes = Callable[[Tensor], tuple[Tensor, ...]]


def forward(x: Tensor) -> tuple[Tensor, ...]:
    low, high = dwt3d(x)
    return low, *high


def there_and_back(x: Tensor) -> tuple[Tensor, ...]:
    return (idwt3d(dwt3d(x), SIZE),)


def forward_by_ptwt(x: Tensor) -> tuple[Tensor, ...]:
    import ptwt

    low, high = ptwt.wavedec3(x, "haar", level=1)
    return low, *high.values()


def there_and_back_by_ptwt(x: Tensor) -> tuple[Tensor, ...]:
    import ptwt

    return (ptwt.waverec3(ptwt.wavedec3(x, "haar", level=1), "haar"),)


PASSES: dict[str, tuple[Passes, Passes]] = {
    "forward, backward": (forward, forward_by_ptwt),
    "forward, inverse, backward": (there_and_back, there_and_back_by_ptwt),
}
"""Ours and the peer."""


def turns(passes: Passes, shape: tuple[int, ...] = SHAPE) -> Callable[[], tuple[Tensor, ...]]:
    """Each turn gives the gradient at a volume that is always the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).to(device()).requires_grad_()
    with torch.no_grad():
        gradients = tuple(torch.ones_like(out) for out in passes(x))
    return lambda: torch.autograd.grad(passes(x), x, gradients)


def main(quick: bool) -> None:
    rows = []
    for name, (ours, peer) in PASSES.items():
        contestants = {"eager": turns(ours), "compiled": turns(torch.compile(ours)), "peer": turns(peer)}
        times = race(contestants, rounds=3 if quick else 15, clock=processor)
        peaks = [peak_bytes(partial(turns, passes)) for passes in (ours, peer)]
        memory = {"ours peak (MB)": peaks[0] / 1e6, "peer peak (MB)": peaks[1] / 1e6}
        memory["peak, peer / ours"] = peaks[1] / peaks[0]
        rows.append({"passes": name, "ours": "eager"} | compared(times["eager"], times["peer"], 1.5) | memory)
        rows.append(
            {"passes": name, "ours": "compiled"}
            | compared(times["compiled"], times["peer"])
            | dict.fromkeys(memory, np.nan)
        )
    write_result("wavelets", rows, NOTES, quick=quick)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # A cache of compiled code from before a change would be taken as it is.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        main(is_quick(__doc__))
