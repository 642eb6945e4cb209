"""Our masked autoencoder's step against MONAI's ``MaskedAutoEncoderViT``: forward and backward.

Same sizes, same loss; each draws its own masks. That both compute the same from the same weights and mask is
held by tests/models/test_mae_vit.py.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from timing import compared, device, is_quick, race, write_result
from torch import nn

from studykit.layers.patches import patchify
from studykit.methods import build_method

MASK_RATIO = 0.75
NOTES = (
    "A step of the masked autoencoder without its optimizer: masks (ratio 0.75), forward, mean squared error "
    "of the hidden patches, backward; ours against MONAI's MaskedAutoEncoderViT. "
)
ON_CPU = "Both in fp32, eager."
ON_GPU = (
    "Both compiled, products of fp32 in TF32; MONAI's fails under bf16 autocast (its mask tokens stay in "
    "fp32), so bf16 is compared with its fp32."
)


@dataclass(frozen=True)
class Case:
    """Sizes of both autoencoders, and crops a batch; MLPs are four times as wide as their block."""

    name: str
    crop: int
    patch: int
    batch: int
    dim: int
    depth: int
    heads: int
    decoder_dim: int
    decoder_depth: int


SMALL = Case("24³, 96 wide", 24, 4, batch=8, dim=96, depth=4, heads=4, decoder_dim=48, decoder_depth=1)
MEDIUM = Case("96³, 384 wide", 96, 16, batch=4, dim=384, depth=6, heads=6, decoder_dim=192, decoder_depth=2)
REDUCED = Case(
    "224³, 768 wide, 2 + 1 blocks",
    224,
    16,
    batch=1,
    dim=768,
    depth=2,
    heads=12,
    decoder_dim=384,
    decoder_depth=1,
)
PAPER = Case(
    "224³, 768 wide, 12 + 4 blocks",
    224,
    16,
    batch=8,
    dim=768,
    depth=12,
    heads=12,
    decoder_dim=384,
    decoder_depth=4,
)


def our_step(case: Case, volume: torch.Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """As training takes it, but for the optimizer."""
    method = build_method(
        "mae", mask_ratio=MASK_RATIO, img_size=case.crop, patch_size=case.patch,
        embed_dim=case.dim, depth=case.depth, num_heads=case.heads, mlp_dim=4 * case.dim,
        decoder_dim=case.decoder_dim, decoder_depth=case.decoder_depth, decoder_num_heads=case.heads,
        decoder_mlp_dim=4 * case.decoder_dim,
    ).to(device())  # fmt: skip
    module = maybe_compiled(method)
    generator = torch.Generator().manual_seed(0)

    def turn() -> None:
        method.zero_grad()
        mask = method.draw_masks(case.batch, generator).to(device(), non_blocking=True)
        with torch.autocast(device().type, dtype, enabled=dtype != torch.float32):
            loss = sum(module(volume, mask).values())
        loss.backward()

    return turn


def peer_step(case: Case, volume: torch.Tensor) -> Callable[[], object]:
    from monai.networks.nets import MaskedAutoEncoderViT

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        network = MaskedAutoEncoderViT(
            in_channels=1, img_size=case.crop, patch_size=case.patch, masking_ratio=MASK_RATIO,
            hidden_size=case.dim, num_layers=case.depth, num_heads=case.heads, mlp_dim=4 * case.dim,
            decoder_hidden_size=case.decoder_dim, decoder_num_layers=case.decoder_depth,
            decoder_num_heads=case.heads, decoder_mlp_dim=4 * case.decoder_dim,
        ).to(device())  # fmt: skip
    module = maybe_compiled(network)

    def turn() -> None:
        network.zero_grad()
        prediction, mask = module(volume)
        error = (prediction - patchify(volume, case.patch).flatten(2)).square().mean(dim=-1)
        ((error * mask).sum() / mask.sum()).backward()

    return turn


def maybe_compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, dynamic=False) if device().type == "cuda" else module


def main(quick: bool) -> None:
    on_gpu = device().type == "cuda"
    if on_gpu:
        torch.set_float32_matmul_precision("high")
    precisions = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if on_gpu else {})
    rows = []
    for case in (MEDIUM, PAPER) if on_gpu else (SMALL, MEDIUM, REDUCED):
        torch.compiler.reset()
        volume = torch.randn(case.batch, 1, *(case.crop,) * 3, device=device())
        turns = {name: our_step(case, volume, dtype) for name, dtype in precisions.items()}
        times = race(turns | {"peer": peer_step(case, volume)}, rounds=3 if quick else 25)
        for name in precisions:
            sizes = {"sizes": case.name, "batch": case.batch, "ours": name, "peer": "fp32"}
            rows.append(sizes | compared(times[name], times["peer"], target=1.0))
    write_result("mae_step", rows, NOTES + (ON_GPU if on_gpu else ON_CPU), quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
