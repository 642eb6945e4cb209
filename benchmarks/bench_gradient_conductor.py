"""A training step of BertsWin on three losses: GradientConductor against plain sums and against torchjd.

That GradientConductor under UPGrad's weights steps as torchjd does is held by tests/training/test_peers.py.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from memory import peak_bytes
from timing import compared, device, is_quick, processor, race, write_result
from torch import Tensor, nn

from studykit.arms.profiles import Profile, pretraining_profile
from studykit.methods import build_method
from studykit.training.gcond import ConductorConfig, GradientConductor
from studykit.training.peers import peer_weighting

NOTES = (
    "A step of BertsWin at the {profile} profile's sizes ({batch} crops of {crop}³, {precision}, eager) on "
    "brightness, contrast and structure of MVC as three losses: forward, a gradient of each, an AdamW update "
    "with momentum 0.9. Ours: GradientConductor, exact sampling, by its own rule or with UPGrad's weights. "
    "Peers: three backward passes added up in .grad, which resolves nothing; torchjd's backward and "
    "jac_to_grad with UPGrad, at its defaults (all losses at once by vmap, for which our attention has no "
    "rule and goes loss by loss) or lean (losses in turn, Gram matrix tensor by tensor). Peak memory: the "
    "most that torch's allocator holds at once, parameters included, counted in a process of its own."
)
PAIRS = (
    ("conductor", "three backward passes", np.nan),
    ("conductor", "torchjd", 1.0),
    ("conductor", "torchjd lean", 1.0),
    ("conductor, UPGrad", "torchjd", 1.0),
    ("conductor, UPGrad", "torchjd lean", 1.0),
)

WHY = (
    "a gradient of each loss is kept, held against the others and against its last one, and averaged over "
    "time: passes over all parameters that a sum in .grad does not make"
)

Losses = Callable[[], dict[str, Tensor]]
Parameters = list[nn.Parameter]


def conducted(losses: Losses, parameters: Parameters, **settings: Any) -> Callable[[], object]:
    conductor = GradientConductor(adamw(parameters, momentum=0.0), **settings)

    def turn() -> None:
        conductor.backward(losses())
        conductor.step()

    return turn


def conducted_by_upgrad(losses: Losses, parameters: Parameters) -> Callable[[], object]:
    return conducted(losses, parameters, weighting=peer_weighting("upgrad"))


def summed(losses: Losses, parameters: Parameters) -> Callable[[], object]:
    optimizer = adamw(parameters)

    def turn() -> None:
        terms = list(losses().values())
        for term in terms:
            term.backward(retain_graph=term is not terms[-1])
        optimizer.step()
        optimizer.zero_grad()

    return turn


def descended(losses: Losses, parameters: Parameters, *, lean: bool) -> Callable[[], object]:
    """As torchjd's documentation does it where the losses share all parameters."""
    from torchjd.aggregation import UPGrad
    from torchjd.autojac import backward, jac_to_grad

    warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
    optimizer, aggregator = adamw(parameters), UPGrad()

    def turn() -> None:
        backward(list(losses().values()), parallel_chunk_size=1 if lean else None)
        jac_to_grad(parameters, aggregator, optimize_gramian_computation=lean)
        optimizer.step()
        optimizer.zero_grad()

    return turn


CONTESTANTS: dict[str, Callable[[Losses, Parameters], Callable[[], object]]] = {
    "conductor": conducted,
    "conductor, UPGrad": conducted_by_upgrad,
    "three backward passes": summed,
    "torchjd": partial(descended, lean=False),
    "torchjd lean": partial(descended, lean=True),
}


def adamw(parameters: Parameters, momentum: float = ConductorConfig.momentum) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-4, betas=(momentum, 0.95))


def bertswin(sizes: Profile) -> nn.Module:
    """Always with the same weights."""
    torch.manual_seed(0)
    return build_method(
        "bertswin", loss="mvc", img_size=sizes.crop_size, patch_size=sizes.patch_size,
        embed_dim=sizes.embed_dim, depth=sizes.depth, num_heads=sizes.num_heads,
        window_size=sizes.window_size,
    ).to(device())  # fmt: skip


def step(name: str, method: nn.Module, sizes: Profile) -> Callable[[], object]:
    """A contestant's training of ``method``, always on the same crops and masks."""
    generator = torch.Generator().manual_seed(0)
    crops = (sizes.batch_size, 1, *(sizes.crop_size,) * 3)
    volume = torch.randn(crops, generator=generator).to(device())
    mask = method.draw_masks(sizes.batch_size, generator).to(device())
    low = sizes.precision == "bf16"

    def losses() -> dict[str, Tensor]:
        with torch.autocast(device().type, torch.bfloat16, enabled=low):
            return method(volume, mask)

    return CONTESTANTS[name](losses, list(method.parameters()))


def build(name: str, sizes: Profile) -> Callable[[], object]:
    return step(name, bertswin(sizes), sizes)


def main(quick: bool) -> None:
    sizes = pretraining_profile("gpu" if device().type == "cuda" else "laptop")
    times = race(
        {name: build(name, sizes) for name in CONTESTANTS}, rounds=3 if quick else 15, clock=processor
    )
    peaks = {name: peak_bytes(partial(build, name, sizes)) for name in CONTESTANTS}
    rows = []
    for ours, peer, target in PAIRS:
        memory = {"ours peak (MB)": peaks[ours] / 1e6, "peer peak (MB)": peaks[peer] / 1e6}
        row = {"ours": ours, "peer": peer} | compared(times[ours], times[peer], target, why=WHY)
        rows.append(row | memory | {"peak, peer / ours": peaks[peer] / peaks[ours]})
    notes = NOTES.format(
        profile=sizes.name, batch=sizes.batch_size, crop=sizes.crop_size, precision=sizes.precision
    )
    write_result("gradient_conductor", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
