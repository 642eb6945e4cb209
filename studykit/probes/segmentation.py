"""A segmentation head on an encoder's tokens, trained on one labelled head and tested on the whole other one.

In the manner of the probe that BertsWin's authors released (linear on tokens, trilinear logits, Dice +
cross-entropy, AdamW), but for what it is tested on: a subject that neither head nor settings have seen.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import volume_tensor
from studykit.layers.patches import tile, untile
from studykit.losses.dice_cross_entropy import class_weights, dice_cross_entropy
from studykit.metrics.segmentation import SegmentationScore, segmentation_score
from studykit.probes.features import token_features
from studykit.probes.labelled_heads import labelled_volumes, tissue_map
from studykit.probes.tissues import LABELLED_HEADS, LEFT_OUT, TISSUES
from studykit.training.schedules import warmup_cosine

MODES = ("frozen", "fine-tuned")
SCORED = tuple(range(1, len(TISSUES)))
"""Classes of :data:`~studykit.probes.tissues.TISSUES` that are scored: all but "no label"."""


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How the probe is trained: the same for every encoder, and nothing chosen on the tested subject.

    The defaults were set by loss and Dice on the training side, with untrained encoders. There is no early
    stopping. Learning rates rise linearly over ``warmup_steps`` and fall to 0 along half a cosine.

    Raises:
        ValueError: a value that no training can have.
    """

    batch_size: int = 8
    """Tiles an optimizer step sees."""
    frozen_steps: int = 300
    """Optimizer steps of a head on a frozen encoder."""
    frozen_lr: float = 0.1
    fine_tuned_steps: int = 120
    """Optimizer steps of encoder and head together."""
    fine_tuned_lr: float = 0.03
    """Of the head; the encoder has its own."""
    encoder_lr: float = 1e-3
    warmup_steps: int = 10
    weight_decay: float = 0.01
    tolerance_mm: float = 2.0
    """Of the surface Dice."""

    def __post_init__(self) -> None:
        steps = min(self.frozen_steps, self.fine_tuned_steps)
        if self.batch_size < 1 or steps < 1 or not 0 <= self.warmup_steps < steps:
            raise ValueError(
                "a probe needs batch_size and steps from 1, and warmup_steps from 0 to below the steps, got "
                f"{self}"
            )
        if min(self.frozen_lr, self.fine_tuned_lr, self.encoder_lr) <= 0 or self.weight_decay < 0:
            raise ValueError(f"learning rates must be positive and weight_decay not negative, got {self}")


@dataclass(frozen=True)
class TiledHead:
    """A labelled head in tiles that do not overlap and hold all of it.

    Attributes:
        subject: subject id.
        crops: (N, 1, s, s, s) in raster order.
        classes: int64 (N, s, s, s), index into :data:`studykit.probes.tissues.TISSUES`; -1 where none is
            asked for, in the air and beyond the volume.
        shape: (D, H, W) of the volume.
        spacing_mm: of its voxels along (D, H, W).
    """

    subject: str
    crops: Tensor
    classes: Tensor
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


def tiled_heads(spacing_mm: float, crop_size: int) -> tuple[TiledHead, ...]:
    """The labelled heads among the sample volumes, at a study's spacing and crop size."""
    return tuple(
        tiled_head(volume, LABELLED_HEADS[volume.subject], crop_size)
        for volume in labelled_volumes(spacing_mm)
    )


def tiled_head(volume: PreparedVolume, scheme: str, crop_size: int) -> TiledHead:
    """Cut one volume with labels of ``scheme`` into tiles; the last ones are filled up with background.

    Raises:
        ValueError: the volume has no labels, or its labels follow another scheme.
    """
    image, classes = volume_tensor(volume), tissue_map(volume, scheme)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)[::-1]
    return TiledHead(
        volume.subject,
        tile(image, crop_size, float(image.min())),
        tile(classes[None], crop_size, LEFT_OUT)[:, 0],
        tuple(classes.shape),
        tuple(spacing.tolist()),
    )


class TokenHead(nn.Module):
    """Tokens, standardised, to class logits of each voxel: linear, then trilinear interpolation.

    Mean and deviation are those of the training tokens before any training, and stay; a feature that does not
    vary there counts as 0. The linear map starts at 0, so all classes are as likely.

    Args:
        tokens: (n, width), the training tokens.
        grid: tokens along (d, h, w) of a crop.
        size: voxels along (D, H, W) of a crop.
    """

    def __init__(self, tokens: Tensor, grid: tuple[int, int, int], size: tuple[int, int, int]) -> None:
        super().__init__()
        deviation, mean = torch.std_mean(tokens.double(), dim=0, correction=0)
        varies = deviation > 1e-6 * (1 + mean.abs())
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", torch.where(varies, 1 / deviation, 0.0).float())
        self.linear = nn.utils.skip_init(nn.Linear, tokens.shape[1], len(TISSUES))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.grid = grid
        for axis, (count, side) in enumerate(zip(grid, size, strict=True)):
            weights = F.interpolate(torch.eye(count)[None], side, mode="linear", align_corners=False)[0]
            self.register_buffer(f"weights_{axis}", weights)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width) to logits (B, classes, D, H, W)."""
        logits = self.linear((tokens.float() - self.mean) * self.scale)
        maps = logits.transpose(1, 2).unflatten(2, self.grid)
        for weights in (self.weights_0, self.weights_1, self.weights_2):
            maps = torch.tensordot(maps, weights, dims=([2], [0]))
        return maps


@dataclass(frozen=True)
class Segmenter:
    """An encoder in evaluation mode and the head trained on its tokens."""

    encoder: nn.Module
    head: TokenHead

    @torch.no_grad()
    def predict(self, tiled: TiledHead, batch_size: int = 16) -> Tensor:
        """Likeliest class of each voxel of a whole head, int64 (D, H, W) on the CPU."""
        parts = [
            self.head(self.encoder.encode(crops.to(self.head.mean.device))).argmax(dim=1).cpu()
            for crops in tiled.crops.split(batch_size)
        ]
        return untile(torch.cat(parts)[:, None], tiled.shape)[0]


def segment_both_ways(
    heads: Sequence[TiledHead], method: nn.Module, settings: ProbeSettings, *, mode: str, seed: int
) -> dict[str, SegmentationScore]:
    """Train on one head and segment the whole other one, and the other way round.

    Args:
        heads: two heads, in crops of the size that the method was built for.
        method: its ``encode`` gives tokens of whole crops on its ``grid``; left as it is.
        mode, seed: see :func:`train_segmenter`.

    Returns:
        by the subject that was tested; classes :data:`SCORED`.

    Raises:
        ValueError: not two heads, or see :func:`train_segmenter`.
    """
    if len(heads) != 2:
        raise ValueError(f"a probe both ways needs two heads, got {[head.subject for head in heads]}")
    scores = {}
    for trained, tested in (heads, heads[::-1]):
        generator = torch.Generator().manual_seed(seed)
        segmenter = train_segmenter(trained, method, settings, mode=mode, generator=generator)
        scores[tested.subject] = segmentation_score(
            segmenter.predict(tested),
            untile(tested.classes[:, None], tested.shape)[0],
            tested.spacing_mm,
            SCORED,
            tolerance_mm=settings.tolerance_mm,
            ignore=LEFT_OUT,
        )
    return scores


def train_segmenter(
    tiled: TiledHead, method: nn.Module, settings: ProbeSettings, *, mode: str, generator: torch.Generator
) -> Segmenter:
    """Train on the tiles of one head that have a voxel with a class.

    Args:
        method: copied, so its weights stay as they are.
        mode: ``frozen`` trains the head on tokens that are computed once; ``fine-tuned`` trains the copied
            encoder as well, in evaluation mode (without dropout). Both start from the same head.
        generator: CPU generator; draws the order of the tiles. On a CPU it decides the result.

    Raises:
        ValueError: unknown mode, or a head without a voxel of a class.
    """
    if mode not in MODES:
        raise ValueError(f"Unknown mode {mode!r}. Known: {', '.join(MODES)}.")
    used = (tiled.classes != LEFT_OUT).flatten(1).any(dim=1)
    if not used.any():
        raise ValueError(f"{tiled.subject} has no voxel of a class to train on")
    encoder = copy.deepcopy(method).eval()
    device = next(encoder.parameters()).device
    crops, classes = tiled.crops[used].to(device), tiled.classes[used].to(device)
    tokens = token_features(encoder, crops).to(device)
    head = TokenHead(
        tokens[_labelled_tokens(classes, encoder.grid)], encoder.grid, tuple(classes.shape[1:])
    ).to(device)
    if mode == "frozen":
        steps, tokens_of = settings.frozen_steps, tokens.__getitem__
        groups = [{"params": head.parameters(), "lr": settings.frozen_lr}]
    else:
        encoder.requires_grad_(True)
        steps, tokens_of = settings.fine_tuned_steps, lambda index: encoder.encode(crops[index])
        groups = [
            {"params": head.parameters(), "lr": settings.fine_tuned_lr},
            {"params": encoder.parameters(), "lr": settings.encoder_lr},
        ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    _train(head, tokens_of, classes, optimizer, steps, settings, generator)
    return Segmenter(encoder, head)


def _train(
    head: TokenHead,
    tokens_of: Callable[[Tensor], Tensor],
    classes: Tensor,
    optimizer: torch.optim.Optimizer,
    steps: int,
    settings: ProbeSettings,
    generator: torch.Generator,
) -> None:
    weights = class_weights(classes, len(TISSUES))
    peaks = [group["lr"] for group in optimizer.param_groups]
    batches = _batches(len(classes), settings.batch_size, generator)
    for step in range(steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = warmup_cosine(
                step, steps=steps, warmup_steps=settings.warmup_steps, lr=peak, min_lr=0.0
            )
        index = next(batches).to(classes.device)
        optimizer.zero_grad(set_to_none=True)
        dice_cross_entropy(head(tokens_of(index)), classes[index], weights).backward()
        optimizer.step()


def _batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of indices without end, from one random order of all after the other."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        yield left[:batch_size]
        left = left[batch_size:]


def _labelled_tokens(classes: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Whether a token's patch has a voxel of a class: (N, D, H, W) to bool (N, T)."""
    known = (classes != LEFT_OUT)[:, None].float()
    return F.adaptive_max_pool3d(known, grid).flatten(1) > 0
