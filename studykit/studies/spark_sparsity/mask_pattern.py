"""What hidden patches do to a convolutional encoder's activations, layer by layer, dense or sparse.

The same weights read a volume whole; with zeros at hidden voxels, densely; and at visible voxels alone. The
two ways to deal with the mask are held against the whole reading, at the same visible places (a claim of the
RSNA 2025 blueprint, after SparK, Tian et al. 2023).
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studykit.layers.patch_conv import PatchSparseConv3d
from studykit.layers.sparse_norm import SparseBatchNorm3d, SparseInstanceNorm3d
from studykit.layers.visibility import hide, visible_at
from studykit.models.residual_unet import ResidualEncoder

WAYS = ("zero-filled", "sparse")


@dataclass(frozen=True)
class LayerEffect:
    """What became of a layer's output under a mask.

    Attributes:
        layer: its name.
        way: ``zero-filled``, dense convolution over zeros at hidden voxels, or ``sparse``.
        shift: mean over channels of the distance between a channel's mean at visible places and its mean at
            the same places of the unmasked volume, in standard deviations of the latter.
        spread: mean over channels of a channel's deviation at visible places over the unmasked one.
        nonzero: share of hidden places where some channel is not zero, so that the mask is lost there.
    """

    layer: str
    way: str
    shift: float
    spread: float
    nonzero: float


def layers_of(encoder: nn.Module) -> dict[str, nn.Module]:
    """The stem and each residual block of an encoder, in their order; a block's name is ``stage.block``.

    Args:
        encoder: a :class:`studykit.models.residual_unet.ResidualEncoder`, here and below.
    """
    blocks = {
        f"{stage}.{block}": module
        for stage, own in enumerate(encoder.stages, start=1)
        for block, module in enumerate(own, start=1)
    }
    return {"stem": encoder.stem} | blocks


def with_backend(encoder: nn.Module, backend: str) -> nn.Module:
    """A copy of the encoder, weights included, that computes sparsely by another backend.

    Args:
        backend: see :mod:`studykit.layers.patch_conv`.
    """
    twin = copy.deepcopy(encoder)
    for module in twin.modules():
        if isinstance(module, ResidualEncoder | PatchSparseConv3d):
            module.backend = backend
    return twin


def without_norms(encoder: nn.Module) -> nn.Module:
    """A copy of the encoder that is convolution and activation alone."""
    twin = copy.deepcopy(encoder)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, SparseInstanceNorm3d | SparseBatchNorm3d):
                setattr(module, name, _NoNorm())
    return twin


@torch.no_grad()
def mask_effects(encoder: nn.Module, crops: Tensor, visible: Tensor) -> list[LayerEffect]:
    """Both ways at every layer, layers in their order.

    Places and channels count over all crops together, as a channel's mean and deviation are those of the
    activations that the next layer reads.

    Args:
        encoder: in evaluation mode.
        crops: (B, C, D, H, W).
        visible: bool (B, d, h, w) on the grid of the coarsest map, ``True`` = visible.

    Raises:
        ValueError: fewer than two places are visible, or none is hidden, so that nothing can be compared.
    """
    if visible.sum() < 2 or visible.all():
        raise ValueError(
            f"mask_effects needs at least two visible patches and one hidden, got {int(visible.sum())} "
            f"visible of {visible.numel()}"
        )
    encoder = with_backend(encoder, "masked_dense")
    whole = _outputs(encoder, lambda: encoder(crops))
    masked = {
        "zero-filled": _outputs(encoder, lambda: encoder(hide(crops, visible))),
        "sparse": _outputs(encoder, lambda: encoder(crops, visible)),
    }
    return [
        LayerEffect(layer, way, *shift_and_spread(whole[layer], masked[way][layer], visible),
                    nonzero_share(masked[way][layer], visible))
        for layer in whole for way in WAYS
    ]  # fmt: skip


def shift_and_spread(whole: Tensor, masked: Tensor, visible: Tensor) -> tuple[float, float]:
    """How far means and deviations at visible places moved, see :class:`LayerEffect`.

    A channel that is constant there without a mask has no deviation to count in and is left out.

    Args:
        whole, masked: (B, C, D, H, W), the same layer's output without and with the mask.
        visible: bool (B, d, h, w).
    """
    at = visible_at(visible, whole.shape[2:])[:, 0]
    before, after = (values.movedim(1, -1)[at].double() for values in (whole, masked))
    deviation = before.std(dim=0, correction=0)
    varies = deviation > 0
    shift = (after.mean(dim=0) - before.mean(dim=0)).abs() / deviation
    spread = after.std(dim=0, correction=0) / deviation
    return float(shift[varies].mean()), float(spread[varies].mean())


def nonzero_share(masked: Tensor, visible: Tensor) -> float:
    """Share of hidden places of (B, C, D, H, W) where some channel is not zero; ``visible`` as above."""
    hidden = ~visible_at(visible, masked.shape[2:])[:, 0]
    return float(masked.ne(0).any(dim=1)[hidden].double().mean())


@torch.no_grad()
def three_readings(
    encoder: nn.Module, crop: Tensor, visible: Tensor
) -> dict[str, tuple[Tensor, Sequence[Tensor]]]:
    """What an encoder is shown of a crop, and its maps: without a mask, over zeros, and sparsely.

    Args:
        encoder: in evaluation mode.
        crop: (1, C, D, H, W).
        visible: bool (1, d, h, w), ``True`` = visible.
    """
    shown = hide(crop, visible)
    return {
        "no mask": (crop, encoder(crop)),
        "zero-filled": (shown, encoder(shown)),
        "sparse": (shown, encoder(crop, visible)),
    }


def replacements(crops: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """What may stand at hidden voxels in place of the crops: themselves, noise small and large, no number."""
    noise = torch.randn(crops.shape, generator=generator)
    return {
        "as they are, again": crops,
        "noise": noise,
        "noise × 1000": 1000 * noise,
        "not a number": torch.full_like(crops, torch.nan),
    }


@torch.no_grad()
def largest_changes(
    encode: Callable[[Tensor], Sequence[Tensor]], crops: Tensor, others: Tensor, visible: Tensor
) -> list[float]:
    """How much of what stands at hidden voxels reaches visible places, for each map of an encoder.

    Args:
        encode: crops to maps (B, C_i, d_i, h_i, w_i).
        crops: (B, C, D, H, W).
        others: of the same shape; its values replace those of ``crops`` at hidden voxels.
        visible: bool (B, d, h, w), ``True`` = visible.

    Returns:
        of each map, the largest change at visible places over the largest value there; infinite where a
        change is not a number.
    """
    replaced = torch.where(visible_at(visible, crops.shape[2:]), crops, others)
    changes = []
    for before, after in zip(encode(crops), encode(replaced), strict=True):
        at = visible_at(visible, before.shape[2:]).expand_as(before)
        change = ((after - before)[at].abs().max() / before[at].abs().max()).item()
        changes.append(math.inf if math.isnan(change) else change)
    return changes


class _NoNorm(nn.Module):
    def forward(self, x: Tensor, visible: object = None) -> Tensor:
        return x


def _outputs(encoder: nn.Module, run: Callable[[], object]) -> Mapping[str, Tensor]:
    """What each layer gives while ``run`` is called."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.__setitem__(name, output)

    hooks = [module.register_forward_hook(keep(name)) for name, module in layers_of(encoder).items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found
