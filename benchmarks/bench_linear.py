"""Our linear layer against ``nn.Linear`` at the sizes of our networks: forward and backward.

That both compute the same is held by tests/layers/test_linear.py.
"""

from collections.abc import Callable

import torch
from timing import compared, device, is_quick, processor, race, write_result
from torch import nn

from studykit.layers.linear import PATH, PATHS, Linear

NOTES = (
    "A linear layer, forward and backward down to its input, fp32; ours ({path}) against nn.Linear. GFLOP/s "
    "are ours, 2 operations a multiply-add. "
)
WHY = (
    "MKL's products are as quick or quicker here; the path stays, as runs of this kind of processor rest on "
    "its rounding"
)
SIZES = {
    "laptop BertsWin, query, key, value": (1728, 96, 288),
    "laptop BertsWin, MLP in": (1728, 96, 384),
    "laptop BertsWin, MLP out": (1728, 384, 96),
    "laptop MAE decoder, MLP in": (1736, 48, 192),
    "Swin block, 384 wide, MLP in": (2744, 384, 1536),
    "Swin block, 384 wide, MLP out": (2744, 1536, 384),
    "Swin block, 48 wide, MLP in": (21952, 48, 192),
    "ViT-B, MLP in": (1728, 768, 3072),
}
"""Rows, in and out features."""


def step(layer: nn.Linear, rows: int) -> Callable[[], object]:
    layer = layer.to(device())
    x = torch.randn(rows, layer.in_features, device=device(), requires_grad=True)
    gradient = torch.randn(rows, layer.out_features, device=device())
    return lambda: torch.autograd.grad(layer(x), [x, *layer.parameters()], gradient)


def main(quick: bool) -> None:
    table = []
    for name, (rows, wide, out) in SIZES.items():
        layers = {"ours": Linear(wide, out), "peer": nn.Linear(wide, out)}
        times = race(
            {who: step(layer, rows) for who, layer in layers.items()},
            rounds=3 if quick else 9,
            clock=processor,
        )
        row = {"layer": name, "rows": rows, "in": wide, "out": out}
        row |= compared(times["ours"], times["peer"], target=1.0, why=WHY)
        table.append(row | {"GFLOP/s": 6 * rows * wide * out / row["ours (ms)"] / 1e6})
    write_result("linear", table, NOTES.format(path=PATHS[PATH]), quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
