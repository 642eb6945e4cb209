"""Steps of nnFormer, WaveFormer, SparK and MiM against the same step by the arithmetic of released code.

Same modules, same weights, same masks: :mod:`released` says what is put back. SwinUNETR stands against
MONAI's in bench_swin_unetr.py, the masked autoencoder in bench_mae_step.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from released import as_released
from timing import compared, device, is_quick, processor, race, write_result
from torch import nn

from studykit.losses.dice_cross_entropy import dice_and_cross_entropy
from studykit.methods import build_method
from studykit.metrics.compute import count_flops
from studykit.models import build_model

CLASSES = 4
SEGMENTED, PAINTED = "segmented", "painted"
RELEASED = "released arithmetic"
MASKED_DENSE = "masked dense"
NOTES = (
    "A training step without its optimizer: forward, loss, backward (fp32, eager). Peers are the same "
    "modules with the same weights under the arithmetic of released code: nn.Linear, windows rolled, "
    "viewed and copied, whole score matrices, maps with the channels first, Haar by ptwt; for SparK's "
    "sparse encoder also dense convolutions of the zeroed volume with their output zeroed. So work is "
    "equal but for SparK, whose peer convolves hidden patches too. GFLOPs: forward and backward pass of "
    "ours, 2 for each multiply-accumulate."
)
WHY = "most of its time is in convolutions that both leave to oneDNN, see the table of floors"


@dataclass(frozen=True)
class Case:
    """A network or a method, voxels an axis of a crop, crops a batch."""

    name: str
    kind: str
    builds: str
    side: int
    batch: int
    options: dict[str, Any] = field(default_factory=dict)
    peer: str = RELEASED
    peer_options: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, 1, self.side, self.side, self.side)


CASES = (
    Case("nnFormer", SEGMENTED, "nnformer", 64, 1),
    Case("WaveFormer", SEGMENTED, "waveformer", 32, 1),
    Case("SparK", PAINTED, "spark", 48, 2, peer=MASKED_DENSE, peer_options={"backend": "masked_dense"}),
    Case("MiM", PAINTED, "mim", 48, 2),
)
QUICK = (
    Case("nnFormer", SEGMENTED, "nnformer", 32, 1, {"embed_dim": 48}),
    Case("WaveFormer", SEGMENTED, "waveformer", 32, 1, {"widths": (16, 32, 48, 64)}),
    Case("SparK", PAINTED, "spark", 32, 1, peer=MASKED_DENSE, peer_options={"backend": "masked_dense"}),
    Case("MiM", PAINTED, "mim", 32, 1),
)


def build(case: Case, peer: bool) -> nn.Module:
    """Always with the same weights."""
    options = {"img_size": case.side, **case.options, **(case.peer_options if peer else {})}
    torch.manual_seed(0)
    if case.kind == PAINTED:
        return build_method(case.builds, **options).to(device())
    return build_model(case.builds, num_classes=CLASSES, drop_path=0.0, **options).to(device())


def step(case: Case, peer: bool) -> Callable[[], dict[str, torch.Tensor]]:
    """One forward and backward pass, down to the parameters; gives their gradients."""
    network, generator = build(case, peer).train(), torch.Generator().manual_seed(0)
    volume = torch.randn(case.shape, generator=generator).to(device())
    if case.kind == PAINTED:
        mask = network.draw_masks(case.batch, generator, volume)
        loss: Callable[[], torch.Tensor] = lambda: sum(network(volume, mask).values())  # noqa: E731
    else:
        classes = torch.randint(CLASSES, (case.batch, *case.shape[2:]), generator=generator).to(device())
        loss = lambda: sum(dice_and_cross_entropy(network(volume), classes))  # noqa: E731

    def turn() -> dict[str, torch.Tensor]:
        network.zero_grad()
        loss().backward()
        return {name: p.grad for name, p in network.named_parameters()}

    def released() -> dict[str, torch.Tensor]:
        with as_released():
            return turn()

    return released if peer else turn


def operations(case: Case) -> int:
    """Of a step of ours, with everything that it computes on visible patches and their halo."""
    network, inputs = build(case, peer=False), {}
    if case.kind == PAINTED:
        inputs["mask"] = network.draw_masks(case.batch, torch.Generator().manual_seed(0))
    return count_flops(network, case.shape, backward=True, **inputs).total


def main(quick: bool) -> None:
    rows = []
    for case in QUICK if quick else CASES:
        turns = {who: step(case, who == "peer") for who in ("ours", "peer")}
        times = race(turns, rounds=2 if quick else 5, warm_up=1, clock=processor)
        row = {"ours": case.name, "peer": case.peer, "crops": f"{case.batch} × {case.side}³"}
        row |= compared(times["ours"], times["peer"], target=1.0, why=WHY) | {
            "GFLOPs": operations(case) / 1e9
        }
        rows.append(row)
    write_result("network_steps", rows, NOTES, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
