"""A card in one minute: its rate of matrix products, our layers and steps against peers and that rate.

Everything in one process, ours without compilation. Turns are replayed as CUDA graphs, peers' too; MONAI's
Swin block is compiled instead, its quickest form. A part is begun only while there is time; what is left out
is told, and what is done is written at once. Without a card it is a rehearsal at sizes that a CPU bears.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator

import bench_mae_step
import bench_sparse_conv
import bench_swin_block
import bench_wavelets
import numpy as np
import torch
from bench_mae_step import Case as Sizes
from timing import compared, device, is_quick, race, write_result
from torch.utils.flop_counter import FlopCounterMode

from studykit.methods import build_method
from studykit.training.graphs import replayed

SECONDS = 55
"""For all of it; a part that was begun is ended."""
ROUNDS = 20
Row = dict[str, float | str]
CONVOLUTIONS = {
    "U-Net": {"model": "unet", "channels": [32, 64, 128]},
    "residual U-Net": {"model": "residual-unet", "widths": [32, 64, 128]},
}
FULL_RATE = 0.35
"""Of the measured rate of bf16 products, that a step at the paper's widths should reach."""
SWIN_RATE = 0.4
NOTES = (
    "Forward and backward; bf16 autocast, but for sparse convolutions and Haar, which are in fp32, as is "
    "MONAI's step; a card takes products and convolutions of fp32 through TF32 here. Ours is "
    "eager, taken down as a CUDA graph and replayed, peers the same unless they are compiled. TFLOP/s counts "
    "matrix products, convolutions and attention; its share is of the largest rate of bf16 products measured "
    "in the same minute; met and share met hold the ratio and the share against their targets."
)


def operations(turn: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        turn()
    return counter.get_total_flops()


def single(small: bool) -> str:
    """What products of fp32 are taken in."""
    return "fp32" if small else "tf32"


def matmul_rates(small: bool) -> list[Row]:
    """Square products, the rate of the quickest of several turns; a card takes those of fp32 through TF32."""
    rows: list[Row] = []
    dtypes = {"bf16": torch.bfloat16, single(small): torch.float32}
    for name, dtype in dtypes.items():
        for size in (256, 512) if small else (4096, 8192):
            a, b = (torch.randn(size, size, device=device(), dtype=dtype) for _ in range(2))
            out = torch.empty_like(a)

            def turn(a=a, b=b, out=out, count=1 if small else 10) -> None:
                for _ in range(count):
                    torch.mm(a, b, out=out)

            seconds = race({"product": turn}, 3 if small else 8)["product"].min() / (1 if small else 10)
            rows.append(
                {
                    "precision": name,
                    "size": f"{size}²",
                    "ms": seconds * 1e3,
                    "TFLOP/s": 2 * size**3 / seconds / 1e12,
                }
            )
    return rows


def against(
    what: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    target: float,
    peers_name: str,
    share: float = math.nan,
) -> Row:
    """A row of two contestants, what rate ours comes to, and the share of the card's that it should reach."""
    count = operations(ours)
    mine = replayed(ours, device())
    times = race({"ours": mine, "peer": peer}, ROUNDS)
    row: Row = {"what": what, "a graph": "no" if mine is ours else "yes", "peer": peers_name}
    row |= compared(times["ours"], times["peer"], target)
    return row | {"TFLOP/s": count / np.median(times["ours"]) / 1e12, "target share": share}


def held(row: Row, best: float) -> Row:
    """A row with the share of the best rate that ours comes to, and whether that is enough."""
    share, target = row["TFLOP/s"] / best, row.pop("target share", math.nan)
    met = "" if math.isnan(target) else "yes" if share >= target else "no"
    return row | {"share of the rate": share, "target share": target, "share met": met}


def swin_block(small: bool) -> Iterator[Callable[[], Row]]:
    case = bench_swin_block.Case(48, 3, 7, 0, 1) if small else bench_swin_block.Case(384, 12, 14, 3, 16)

    def row() -> Row:
        from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask

        window, shift = (bench_swin_block.WINDOW,) * 3, (case.shift,) * 3
        windows = bench_swin_block.Windows(case.grid, window, shift)
        ours = bench_swin_block.SwinBlock(case.dim, case.heads, windows).to(device())
        peer = SwinTransformerBlock(case.dim, case.heads, window, shift).to(device())
        mask = compute_mask(case.grid, window, shift, device()) if case.shift else None
        compiled = peer if small else torch.compile(peer, dynamic=False)
        what = f"Swin block, {case.dim} wide, {case.side}³ tokens, window 7³, batch {case.batch}"
        turns = bench_swin_block.step(case, ours), bench_swin_block.step(case, compiled, mask)
        return against(what, *turns, 2.0, "MONAI's, compiled", SWIN_RATE)

    yield row


def sparse_conv(small: bool) -> Iterator[Callable[[], Row]]:
    for size, share in ((16, 0.25),) if small else bench_sparse_conv.SETTINGS[2:]:

        def row(size=size, share=share) -> Row:
            ours, peer = (
                bench_sparse_conv.turns(name, size, share) for name in ("halo, packed", "masked dense")
            )
            what = f"sparse convolution, {size}³ voxels, {share:.0%} visible, packed"
            return against(what, ours, replayed(peer, device()), 2.0, "masked dense")

        yield row


def wavelets(small: bool) -> Iterator[Callable[[], Row]]:
    shape = (1, 4, 8, 8, 8) if small else (16, *bench_wavelets.SHAPE[1:])
    for name, (ours, peer) in bench_wavelets.PASSES.items():
        if name != "forward, backward":
            continue

        def row(name=name, ours=ours, peer=peer) -> Row:
            turns = bench_wavelets.turns(ours, shape), bench_wavelets.turns(peer, shape)
            return against(f"Haar of {shape}, {name}", turns[0], replayed(turns[1], device()), 2.0, "ptwt's")

        yield row


def steps(small: bool) -> Iterator[Callable[[], Row]]:
    paper = bench_mae_step.SMALL if small else bench_mae_step.PAPER
    volume = torch.randn(paper.batch, 1, *(paper.crop,) * 3, device=device())

    def ours() -> Row:
        turn = masked_step("mae", paper, volume)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = monai_step(paper, volume)
        return against(
            f"MAE step, {paper.name}, batch {paper.batch}",
            turn,
            replayed(peer, device()),
            1.5,
            f"MONAI's, {single(small)}",
            FULL_RATE,
        )

    def bertswin() -> Row:
        turn = masked_step("bertswin", paper, volume[: max(paper.batch // 4, 1)])
        seconds = race({"ours": replayed(turn, device())}, ROUNDS)["ours"]
        row: Row = {"what": f"BertsWin step, {paper.name}, batch {max(paper.batch // 4, 1)}", "peer": "none"}
        row |= {"ours (ms)": float(np.median(seconds)) * 1e3}
        rate = operations(turn) / np.median(seconds) / 1e12
        return row | {"TFLOP/s": rate, "target share": FULL_RATE}

    yield from (ours, bertswin)


def layouts(small: bool) -> Iterator[Callable[[], Row]]:
    """A training step of networks of convolutions, by where their channels lie in memory."""
    batch, crop = (2, 16) if small else (8, 64)
    for name, options in CONVOLUTIONS.items():

        def row(name=name, options=options) -> Row:
            volume = torch.randn(batch, 1, crop, crop, crop, device=device())
            first, last = (
                conv_step(options | {"img_size": crop}, volume, memory)
                for memory in (torch.contiguous_format, torch.channels_last_3d)
            )
            what = f"{name} step, {crop}³, batch {batch}, channels last"
            return against(what, last, replayed(first, device()), 1.0, "channels first")

        yield row


def conv_step(
    options: dict[str, object], volume: torch.Tensor, memory: torch.memory_format
) -> Callable[[], object]:
    """Forward and backward of a segmentation, its weights and its input laid out in a memory format."""
    method = build_method("supervised", num_classes=8, **options).to(device(), memory_format=memory)
    classes = (volume > 0).float()
    crops = torch.cat([volume, classes], dim=1).contiguous(memory_format=memory)
    mask = method.draw_masks(len(crops), torch.Generator().manual_seed(0), crops)

    def turn() -> None:
        method.zero_grad()
        on = device().type == "cuda"
        with torch.autocast(device().type, torch.bfloat16, enabled=on, cache_enabled=False):
            loss = sum(method(crops, mask).values())
        loss.backward()

    return turn


def masked_step(name: str, sizes: Sizes, volume: torch.Tensor) -> Callable[[], object]:
    """Forward and backward of a method on a mask at hand."""
    options = {
        "img_size": sizes.crop,
        "patch_size": sizes.patch,
        "embed_dim": sizes.dim,
        "depth": sizes.depth,
    }
    options |= {"num_heads": sizes.heads, "mask_ratio": bench_mae_step.MASK_RATIO}
    if name == "mae":
        options |= {
            "mlp_dim": 4 * sizes.dim,
            "decoder_dim": sizes.decoder_dim,
            "decoder_depth": sizes.decoder_depth,
        }
        options |= {"decoder_num_heads": sizes.heads, "decoder_mlp_dim": 4 * sizes.decoder_dim}
    else:
        options |= {"window_size": sizes.crop // sizes.patch // 2}
    method = build_method(name, **options).to(device())
    mask = method.draw_masks(len(volume), torch.Generator().manual_seed(0), volume)

    def turn() -> None:
        method.zero_grad()
        on = device().type == "cuda"
        with torch.autocast(device().type, torch.bfloat16, enabled=on, cache_enabled=False):
            loss = sum(method(volume, mask).values())
        loss.backward()

    return turn


def monai_step(sizes: Sizes, volume: torch.Tensor) -> Callable[[], object]:
    """MONAI's, eager: compiling it takes longer than the minute."""
    compiled, bench_mae_step.maybe_compiled = bench_mae_step.maybe_compiled, lambda network: network
    try:
        return bench_mae_step.peer_step(sizes, volume)
    finally:
        bench_mae_step.maybe_compiled = compiled


def parts_of(small: bool) -> list[Callable[[], Row]]:
    return [part for family in (steps, sparse_conv, wavelets, swin_block, layouts) for part in family(small)]


def main(quick: bool) -> None:
    start, small = time.monotonic(), device().type != "cuda"
    torch.set_float32_matmul_precision("high")
    rates = matmul_rates(small)
    best = max(row["TFLOP/s"] for row in rates if row["precision"] == "bf16")
    write_result("matmul", rates, "Products of square matrices, the quickest turn.", quick=quick)
    rows: list[Row] = []
    parts = parts_of(small)
    for number, part in enumerate(parts):
        if time.monotonic() - start > SECONDS:
            print(f"no time for {len(parts) - number} of {len(parts)} parts", flush=True)
            break
        try:
            rows.append(held(part(), best))
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            continue
        write_result("card", rows, NOTES, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
