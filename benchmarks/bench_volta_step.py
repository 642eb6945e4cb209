"""A step of VolTA against the sum of its parts, and its memory against the masked autoencoder's.

The parts are the networks alone, on the same crops: the teacher forward on the global ones, the student
forward and backward on all. What the step adds is drawing and cutting views, replacing patches, finding what
was said of one place, and the losses.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from memory import peak_bytes
from timing import compared, device, is_quick, processor, race, write_result
from torch import nn

from studykit.layers.patches import take_tokens
from studykit.methods import build_method
from studykit.methods.views import corrupt, cut_patches
from studykit.methods.volta import GLOBALS

AT_MOST = 1.15
MASK_RATIO = 0.75
WHY = "a step also draws and cuts views, replaces patches, pairs places and scores; the parts alone do not"
NOTES = (
    "A training step without its optimizer ({precision}, eager). Ours: VolTA, two global and four local "
    "views a crop, 1,024 prototypes. Peer: its parts alone, the teacher's networks forward on the global "
    "views and the student's forward and backward on all, heads and the painting of replaced patches among "
    "them, on views that are cut already. Peak memory: the most that torch's allocator holds at once, "
    "parameters included, counted in a process of its own; allowed is that of a step of the masked "
    "autoencoder of the same transformer (ratio 0.75) times the ratio of tokens, those that student and "
    "teacher read over those that the autoencoder's encoder reads."
)


@dataclass(frozen=True)
class Case:
    """Sizes of the transformer, and crops a batch."""

    name: str
    crop: int
    batch: int
    dim: int
    depth: int
    heads: int

    @property
    def sizes(self) -> dict[str, int]:
        wide = {"embed_dim": self.dim, "depth": self.depth, "num_heads": self.heads}
        return {"img_size": self.crop, "patch_size": 8, **wide}


SMALL = Case("48³, 96 wide, 4 blocks", 48, batch=8, dim=96, depth=4, heads=4)
MEDIUM = Case("48³, 192 wide, 6 blocks", 48, batch=8, dim=192, depth=6, heads=6)
LARGE = Case("64³, 384 wide, 12 blocks", 64, batch=64, dim=384, depth=12, heads=6)


def crops(case: Case) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(case.batch, 1, *(case.crop,) * 3, generator=generator).to(device())


def step(name: str, case: Case) -> Callable[[], object]:
    """As training takes it, but for the optimizer, of method ``name``."""
    options = {"mae": {"model": "vit-autoencoder", "mask_ratio": MASK_RATIO}, "volta": {}}[name]
    torch.manual_seed(0)
    method = build_method(name, **case.sizes, **options).to(device())
    volumes, generator = crops(case), torch.Generator().manual_seed(0)

    def turn() -> None:
        method.zero_grad()
        masks = method.draw_masks(case.batch, generator, volumes)
        with precision():
            loss = sum(method(volumes, masks).values())
        loss.backward()

    return turn


def parts(case: Case) -> Callable[[], object]:
    """The networks of a step alone."""
    torch.manual_seed(0)
    method = build_method("volta", **case.sizes).to(device())
    volumes = crops(case)
    masks = method.draw_masks(case.batch, torch.Generator().manual_seed(0), volumes)
    clean, seen = [], []
    for views, view in method._views(masks):
        clean.append((cut_patches(volumes, views, view, method.patch_size), view))
        changed, hidden = corrupt(clean[-1][0], views.kinds, method.replaced[view], fixed=True)
        seen.append((changed, hidden, view))
    teacher = [method.teacher[name] for name in ("model", "class_head", "patch_head")]

    def turn() -> None:
        method.zero_grad()
        with precision():
            with torch.no_grad():
                _networks(*teacher, *clean[0])
            said = []
            for patches, hidden, view in seen:
                tokens, logits = _networks(method.model, method.class_head, method.patch_head, patches, view)
                said += [*logits, method.paint_head(take_tokens(tokens, hidden))]
        sum(each.float().mean() for each in said).backward()

    return turn


def _networks(
    model: nn.Module,
    class_head: nn.Module,
    patch_head: nn.Module,
    patches: torch.Tensor,
    view: tuple[int, int, int],
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Patch tokens, and what the heads say."""
    cls, tokens = model.read(patches, view)
    return tokens, [class_head(cls), patch_head(tokens)]


def tokens_read(case: Case) -> tuple[int, int]:
    """By student and teacher of VolTA, and by the encoder of the masked autoencoder, of one crop."""
    method, mae = build_method("volta", **case.sizes), (case.crop // 8) ** 3
    globals_, local = (view[0] * view[1] * view[2] for view in (method.view, method.local))
    return 2 * GLOBALS * globals_ + method.local_views * local, round(mae * (1 - MASK_RATIO))


def precision() -> AbstractContextManager[None]:
    return torch.autocast("cuda", torch.bfloat16, enabled=device().type == "cuda")


def memory(case: Case) -> dict[str, float | str]:
    """Columns on peak memory, in megabytes."""
    ours, mae = (peak_bytes(partial(step, name, case)) / 1e6 for name in ("volta", "mae"))
    read, read_by_mae = tokens_read(case)
    allowed = mae * read / read_by_mae
    columns = {"peak (MB)": ours, "MAE peak (MB)": mae, "tokens": read, "MAE tokens": read_by_mae}
    return columns | {"allowed (MB)": allowed, "memory met": "yes" if ours <= allowed else "no"}


def main(quick: bool) -> None:
    on_gpu = device().type == "cuda"
    rows = []
    for case in (LARGE,) if on_gpu else (SMALL,) if quick else (SMALL, MEDIUM):
        contestants = {"ours": step("volta", case), "peer": parts(case)}
        times = race(contestants, rounds=1 if quick else 7, warm_up=1, clock=processor)
        row = {"sizes": case.name, "batch": case.batch, "ours": "step", "peer": "its parts"}
        row |= compared(times["ours"], times["peer"], target=1 / AT_MOST, why=WHY)
        rows.append(row if quick else row | memory(case))
    notes = NOTES.format(precision="bf16 autocast" if on_gpu else "fp32")
    write_result("volta_step", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
