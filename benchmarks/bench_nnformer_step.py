"""A training step of our nnFormer against MONAI's ``SwinUNETR`` and ``UNETR`` at equal crop.

Three architectures, so not three ways to one result: the columns say what each costs.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from memory import peak_bytes
from timing import compared, device, is_quick, race, write_result
from torch import nn

from studykit.losses.dice_cross_entropy import dice_and_cross_entropy
from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model

CLASSES = 4
OURS, PEERS = "nnFormer", ("SwinUNETR", "UNETR")
NOTES = (
    "A training step without its optimizer: forward, Dice + cross-entropy of {classes} classes, backward "
    "({precision}, eager, {batch} crop(s) of {crop} voxels). Ours: nnFormer of its BraTS sizes (96 wide, "
    "stem stride 4). Peers: MONAI's SwinUNETR (48 wide) and UNETR (ViT-B/16), with their defaults. GFLOPs: "
    "forward and backward pass, 2 for each multiply-accumulate. Peak memory: the most that torch's allocator "
    "holds at once, parameters included, counted in a process of its own."
)


@dataclass(frozen=True)
class Case:
    """Voxels an axis of a crop, and crops a batch."""

    crop: tuple[int, int, int]
    batch: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, 1, *self.crop)


SMALL = Case((32, 32, 64), batch=1)
MEDIUM = Case((64, 64, 64), batch=1)
LARGE = Case((128, 128, 128), batch=2)


def build(name: str, case: Case) -> nn.Module:
    if name == OURS:
        return build_model("nnformer", img_size=case.crop, num_classes=CLASSES)
    from monai.networks import nets

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        if name == "SwinUNETR":
            return nets.SwinUNETR(in_channels=1, out_channels=CLASSES, feature_size=48)
        return nets.UNETR(in_channels=1, out_channels=CLASSES, img_size=case.crop)


def step(name: str, case: Case) -> Callable[[], object]:
    """One forward and backward pass, down to the parameters."""
    network = build(name, case).to(device())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(case.shape, generator=generator).to(device())
    classes = torch.randint(CLASSES, (case.batch, *case.crop), generator=generator).to(device())

    def turn() -> None:
        network.zero_grad()
        with precision():
            logits = network(image)
        sum(dice_and_cross_entropy(logits, classes)).backward()

    return turn


def cost(name: str, case: Case) -> dict[str, float]:
    """Parameters, and operations of a step."""
    network = build(name, case)
    flops = count_flops(network, case.shape, backward=True)
    return {"parameters (M)": count_parameters(network) / 1e6, "GFLOPs": flops.total / 1e9}


def peak(name: str, case: Case, quick: bool) -> float:
    """Megabytes; a process for each contestant takes longer than a quick run may."""
    return float("nan") if quick else peak_bytes(partial(step, name, case)) / 1e6


def precision() -> AbstractContextManager[None]:
    return torch.autocast("cuda", torch.bfloat16, enabled=device().type == "cuda")


def main(quick: bool) -> None:
    on_gpu = device().type == "cuda"
    case = SMALL if quick else LARGE if on_gpu else MEDIUM
    names = (OURS, *PEERS)
    rounds, warm_up = (1, 1) if quick else (9, 1)
    times = race({name: step(name, case) for name in names}, rounds, warm_up=warm_up)
    costs = {name: {**cost(name, case), "peak (MB)": peak(name, case, quick)} for name in names}
    rows = []
    for peer in PEERS:
        row = {"ours": OURS, "peer": peer} | compared(times[OURS], times[peer], target=1.0)
        for what in costs[OURS]:
            row |= {f"ours {what}": costs[OURS][what], f"peer {what}": costs[peer][what]}
        rows.append(row)
    notes = NOTES.format(
        classes=CLASSES,
        crop="×".join(map(str, case.crop)),
        batch=case.batch,
        precision="bf16 autocast" if on_gpu else "fp32",
    )
    write_result("nnformer_step", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
