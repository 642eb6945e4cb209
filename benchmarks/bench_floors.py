"""How near to the processor's rate of matrix products a step of each network comes, on one thread.

Operations are counted, the rate is timed, and the rate of products is measured in the same rounds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from bench_batches import BatchAtHand, arms
from timing import is_quick, processor, race, write_result
from torch import nn
from torch.profiler import ProfilerActivity, profile

from studykit.arms.profiles import pretraining_profile
from studykit.arms.tuning import training_of
from studykit.layers.linear import linear
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows
from studykit.methods import build_method
from studykit.metrics.compute import count_flops
from studykit.models import build_model
from studykit.runs.threads import at_threads
from studykit.training.distributed import SINGLE
from studykit.training.graphs import graphs_of
from studykit.training.state import TrainingState
from studykit.training.step import Step

CPU = torch.device("cpu")
SIDE, QUICK_SIDE = 1024, 512
"""Of the square products whose rate counts."""
SWIN, LAPTOP = 0.70, 0.55
NOTES = (
    "Operations of a step (forward and backward pass, 2 for each multiply-accumulate of a product, a "
    "convolution or attention; nothing else counts), the rate at which it makes them, and its share of "
    "the rate of products of {side}² matrices of fp32, the quicker of torch.mm and our linear layer's "
    "product, timed in the same rounds. One thread, fp32, eager. Laptop steps are whole, at that "
    "profile's sizes: masks drawn, optimizer included. Networks and blocks: forward and backward for "
    "given gradients. In products: share of the time that the profiler finds in products, convolutions "
    "and fused attention; beside them stand the largest of the other operators. So share over in products "
    "is the rate of the products that a step makes, many of them narrower than those that it is held "
    "against."
)


@dataclass(frozen=True)
class Case:
    """What takes a step, on how large a crop or grid; ``target`` is the share that it should reach."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    side: int = 0
    target: float = float("nan")


BLOCK, STEP, NETWORK, METHOD = "block", "step", "network", "method"
VOLTA = {"method": "volta", "embed_dim": 96, "depth": 4, "num_heads": 4, "patch_size": 8}
CASES = (
    Case("Swin block, 384 wide", BLOCK, {"dim": 384, "num_heads": 12}, 14, SWIN),
    Case("Swin block, 48 wide", BLOCK, {"dim": 48, "num_heads": 3}, 28, SWIN),
    Case("BertsWin, laptop step", STEP, {"method": "bertswin"}, target=LAPTOP),
    Case("MAE-ViT, laptop step", STEP, {"method": "mae"}),
    Case("SwinUNETR, 24 wide, 64³", NETWORK, {"model": "swin-unetr", "feature_size": 24}, 64),
    Case("nnFormer, 64³", NETWORK, {"model": "nnformer"}, 64),
    Case("WaveFormer, 32³", NETWORK, {"model": "waveformer"}, 32),
    Case("U-Net, 64³", NETWORK, {"model": "unet"}, 64),
    Case("SparK, 2 × 48³", METHOD, {"method": "spark"}, 48),
    Case("MiM, 2 × 48³", METHOD, {"method": "mim"}, 48),
    Case("VolTA, 2 × 48³", METHOD, VOLTA, 48),
)
PRODUCTS = {
    "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise",
    "aten::mkldnn_convolution", "aten::convolution_backward", "aten::_slow_conv3d_forward",
    "aten::slow_conv3d_forward", "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
}  # fmt: skip
"""Operators in whose own time products are made."""
TOLD = 4
PROFILED = 5
"""Turns; an operator's time is its least, as the profiler goes by the clock."""
BATCH = 2
Turn = Callable[[], object]


def contestant(case: Case) -> tuple[Turn, int]:
    """A step, and its operations."""
    torch.manual_seed(0)
    if case.kind == BLOCK:
        windows = Windows((case.side,) * 3, (7, 7, 7), (0, 0, 0))
        block, shape = SwinBlock(windows=windows, **case.options), (1, *(case.side,) * 3, case.options["dim"])
        x = torch.randn(shape, requires_grad=True)
        return backward_of(block, x), count_flops(Inward(block, shape), (1,), backward=True).total
    if case.kind == NETWORK:
        options = {"img_size": case.side, "num_classes": 4, **case.options}
        network = build_model(options.pop("model"), **options)
        shape = (1, 1, *(case.side,) * 3)
        return backward_of(network, torch.randn(shape)), count_flops(network, shape, backward=True).total
    return laptop_step(case) if case.kind == STEP else method_step(case)


class Inward(nn.Module):
    """A block with its input as a parameter, so that the gradient to the input is counted, too."""

    def __init__(self, block: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.block, self.x = block, nn.Parameter(torch.zeros(shape))

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.block(self.x)


def backward_of(network: nn.Module, x: torch.Tensor) -> Turn:
    with torch.no_grad():
        gradient = torch.ones_like(network(x))

    def turn() -> None:
        network.zero_grad()
        x.grad = None
        network(x).backward(gradient)

    return turn


def method_step(case: Case) -> tuple[Turn, int]:
    options = dict(case.options)
    method = build_method(options.pop("method"), img_size=case.side, **options)
    generator = torch.Generator().manual_seed(0)
    volumes = torch.randn(BATCH, 1, *(case.side,) * 3, generator=generator)
    mask = method.draw_masks(BATCH, generator, volumes)

    def turn() -> None:
        method.zero_grad()
        sum(method(volumes, mask).values()).backward()

    return turn, count_flops(method, volumes.shape, backward=True, mask=mask).total


def laptop_step(case: Case) -> tuple[Turn, int]:
    """As training takes it, optimizer and all."""
    sizes = pretraining_profile("laptop")
    [arm] = [arm for arm in arms(sizes) if arm.method == case.options["method"]]
    method = build_method(arm.method, **arm.options)
    training = training_of(arm, sizes, tuning=False)
    batch = torch.randn(sizes.batch_size, 1, *(sizes.crop_size,) * 3)
    step = Step(method, BatchAtHand(batch), training, CPU, SINGLE, graphs_of(CPU), print)
    state = TrainingState(method, step.optimizer, seed=0, device=CPU, world=SINGLE)
    mask = method.draw_masks(len(batch), torch.Generator().manual_seed(0))
    return lambda: step(state), count_flops(method, batch.shape, backward=True, mask=mask).total


def by_operator(turn: Turn) -> tuple[float, str]:
    """Share of the time that products take, and the largest of the other operators with theirs."""
    own: dict[str, float] = {}
    for _ in range(PROFILED):
        with profile(activities=[ProfilerActivity.CPU]) as record:
            turn()
        for event in record.key_averages():
            own[event.key] = min(own.get(event.key, np.inf), event.self_cpu_time_total)
    total = sum(own.values())
    others = sorted((time, name) for name, time in own.items() if name not in PRODUCTS)[: -TOLD - 1 : -1]
    told = ", ".join(f"{name.removeprefix('aten::')} {time / total:.0%}" for time, name in others)
    return sum(time for name, time in own.items() if name in PRODUCTS) / total, told


def products(side: int) -> dict[str, Turn]:
    a, b = torch.randn(side, side), torch.randn(side, side)
    return {"torch.mm": lambda: torch.mm(a, b), "ours": lambda: linear(a, b)}


def main(quick: bool) -> None:
    side, rows = QUICK_SIDE if quick else SIDE, []
    with at_threads(1):
        for case in CASES:
            turn, flops = contestant(case)
            times = race({"step": turn, **products(side)}, 1 if quick else 5, warm_up=1, clock=processor)
            seconds = {name: float(np.median(own)) for name, own in times.items()}
            best = 2 * side**3 / min(seconds[name] for name in products(2)) / 1e9
            rate = flops / seconds["step"] / 1e9
            met = "" if np.isnan(case.target) else "yes" if rate / best >= case.target else "no"
            rows.append(
                {"step": case.name, "GFLOP": flops / 1e9, "ms": seconds["step"] * 1e3, "GFLOP/s": rate}
                | {"GFLOP/s of products": best, "share": rate / best, "target": case.target, "met": met}
                | dict(zip(("in products", "largest others"), by_operator(turn), strict=True))
            )
    write_result("floors", rows, NOTES.format(side=side), quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
