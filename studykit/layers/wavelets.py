"""The 3-D discrete wavelet transform and its inverse (Mallat 1989): Haar by sums, the others by matrices.

Each axis is filtered into a smooth half ("a") and a detail half ("d"), so a level gives eight bands of half
the size: ``aaa`` goes to the next level, the seven others are kept. Of a constant volume ``aaa`` is 2√2 times
its value.

Haar's filters, (1, 1) / √2 and (1, -1) / √2, do not overlap, and their matrix is orthogonal. So the transform
is sums and differences of neighbours along one axis after the other, its gradient is the inverse transform,
the inverse's gradient the transform, and nothing is kept for the backward pass.

Of the others, PyWavelets gives the matrix that transforms an axis, and each axis is multiplied by its own: so
the work grows with the axis, not with the cube of the filter's length (62 samples for ``dmey``).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.layers.wavelet_matrices import analysed, filter_length, synthesised

BANDS = ("aad", "ada", "add", "daa", "dad", "dda", "ddd")
"""Detail bands in the order in which they are kept; a letter an axis, (D, H, W), as PyWavelets names them."""

MODES = ("zero", "constant", "symmetric", "reflect", "periodic")
"""How a volume goes on beyond its border, as PyWavelets names it; Haar asks only at the end of odd axes."""

HAAR = ("haar", "db1")

Size = tuple[int, int, int]
PywtCoefficients = tuple[Tensor | dict[str, Tensor], ...]


class Coefficients(NamedTuple):
    """What :func:`dwt3d` gives and :func:`idwt3d` takes.

    Args:
        low: float (B, C, d, h, w), the smooth band of the coarsest level.
        high: the detail bands of each level, coarsest first, float (B, 7, C, d, h, w) in the order of
            :data:`BANDS`; ``None`` stands for zeros.
    """

    low: Tensor
    high: tuple[Tensor | None, ...]


def dwt3d(x: Tensor, wavelet: str = "haar", level: int = 1, mode: str = "zero") -> Coefficients:
    """Transform the three spatial axes; channels never mix.

    >>> x = torch.rand(1, 2, 5, 6, 7)
    >>> torch.allclose(idwt3d(dwt3d(x, level=2), (5, 6, 7)), x, atol=1e-6)
    True

    Args:
        x: float (B, C, D, H, W), any size.
        wavelet: a discrete wavelet by its name in PyWavelets.
        level: how often the smooth band is transformed again; at 0 it is ``x`` itself.
        mode: one of :data:`MODES`.

    Returns:
        Coefficients in the dtype of ``x``. A level leaves ⌊(n + L - 1) / 2⌋ of n samples an axis, where L is
        the length of the wavelet's filters: ⌈n / 2⌉ with Haar's 2.

    Raises:
        ValueError: ``x`` is not a floating tensor of these axes, or one of D, H, W is empty; the level is
            negative; the wavelet or the mode is unknown.
    """
    if x.ndim != 5 or not x.is_floating_point() or 0 in x.shape[2:]:
        raise ValueError(f"Expected floating (B, C, D, H, W), none empty, got {x.dtype} {tuple(x.shape)}.")
    if level < 0:
        raise ValueError(f"The level must be at least 0, got {level}.")
    if mode not in MODES:
        raise ValueError(f"Unknown mode {mode!r}. Known: {', '.join(MODES)}.")
    if wavelet not in HAAR:
        filter_length(wavelet)
    dtype, high = x.dtype, []
    for _ in range(level):
        if wavelet in HAAR:
            x, details = _HaarAnalysis.apply(_padded_to_even(x, mode))
        else:
            x, details = analysed(x, wavelet, mode)
        high.insert(0, details.to(dtype))
    return Coefficients(x.to(dtype), tuple(high))


def idwt3d(coeffs: Coefficients, size: Sequence[int], wavelet: str = "haar") -> Tensor:
    """Inverse of :func:`dwt3d`, of whichever mode.

    Args:
        coeffs: smooth and detail bands; where their dtypes differ, the wider one holds.
        size: (D, H, W) of the volume. The coefficients tell it but for one sample an axis.
        wavelet: the one that the volume was transformed with.

    Returns:
        float (B, C, D, H, W).

    Raises:
        ValueError: the wavelet is unknown, or the shapes of the coefficients are not those of a volume of
            ``size``.
    """
    length = 2 if wavelet in HAAR else filter_length(wavelet)
    sizes: list[Size] = [tuple(size)]
    for _ in coeffs.high:
        sizes.insert(0, tuple((n + length - 1) // 2 for n in sizes[0]))
    _check_shapes(coeffs, sizes, wavelet)
    low, high = _in_one_dtype(coeffs)
    dtype = low.dtype
    for details, finer in zip(high, sizes[1:], strict=True):
        if wavelet not in HAAR:
            low = synthesised(low, details, finer, wavelet)
        else:
            low = _spread(low) if details is None else _HaarSynthesis.apply(low, details)
            low = _cropped(low, finer)
    return low.to(dtype)


def to_pywt(coeffs: Coefficients) -> PywtCoefficients:
    """The form of ``pywt.wavedecn`` and ``ptwt.wavedec3``: the smooth band, then a dict a level.

    Levels that are ``None`` become an empty dict, which PyWavelets takes for zeros.

    >>> sorted(to_pywt(dwt3d(torch.rand(1, 1, 4, 4, 4)))[1])
    ['aad', 'ada', 'add', 'daa', 'dad', 'dda', 'ddd']
    """
    high = ({} if h is None else dict(zip(BANDS, h.unbind(1), strict=True)) for h in coeffs.high)
    return (coeffs.low, *high)


def from_pywt(coeffs: Sequence[Tensor | Mapping[str, Tensor]]) -> Coefficients:
    """Inverse of :func:`to_pywt`: bands (B, C, d, h, w) by name, gathered into one tensor a level."""
    low, *high = coeffs
    return Coefficients(low, tuple(torch.stack([h[b] for b in BANDS], 1) if h else None for h in high))


_GAIN = 2**-1.5
_FILTERS = (torch.add, torch.sub)


class _HaarAnalysis(torch.autograd.Function):
    """(B, C, D, H, W) of even size to (B, C, d, h, w) and (B, 7, C, d, h, w)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        return _analyse(x)

    @staticmethod
    def backward(ctx, low: Tensor | None, high: Tensor | None) -> Tensor | None:
        if high is None:
            return None if low is None else _spread(low)
        return _synthesise(torch.zeros_like(high[:, 0]) if low is None else low, high)


class _HaarSynthesis(torch.autograd.Function):
    """The inverse, which is the transpose."""

    @staticmethod
    def forward(ctx, low: Tensor, high: Tensor) -> Tensor:
        return _synthesise(low, high)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return _analyse(gradient)


def _analyse(x: Tensor) -> tuple[Tensor, Tensor]:
    bands = _bands(x)
    low = next(bands)
    high = low.new_empty(low.shape[0], len(BANDS), *low.shape[1:])
    return low, _stacked(bands, 1, high)


def _bands(x: Tensor) -> Iterator[Tensor]:
    """``aaa``, then :data:`BANDS`: half by half, so that what is read was written just before."""
    for along_d in _FILTERS:
        planes = along_d(x[..., 0::2, :, :], x[..., 1::2, :, :]).mul_(_GAIN)
        for along_h in _FILTERS:
            rows = along_h(planes[..., 0::2, :], planes[..., 1::2, :])
            for along_w in _FILTERS:
                yield along_w(rows[..., 0::2], rows[..., 1::2])


def _synthesise(low: Tensor, high: Tensor) -> Tensor:
    bands = (low, *high.unbind(1))

    def rows(band: int) -> Tensor:
        return _joined(bands[band], bands[band + 1], axis=4)

    def planes(band: int) -> Tensor:
        return _joined(rows(band), rows(band + 2), axis=3).mul_(_GAIN)

    return _joined(planes(0), planes(4), axis=2)


def _joined(smooth: Tensor, detail: Tensor, axis: int) -> Tensor:
    """Sums and differences by turns along ``axis``, without Haar's factor."""
    out = smooth.new_empty(*smooth.shape[: axis + 1], 2, *smooth.shape[axis + 1 :])
    both = (combined(smooth, detail) for combined in _FILTERS)
    return _stacked(both, axis + 1, out).flatten(axis, axis + 1)


def _stacked(parts: Iterator[Tensor], axis: int, out: Tensor) -> Tensor:
    """``torch.stack``, one part at a time into ``out``; compiled, the plain one is as sparing and faster."""
    if torch.compiler.is_compiling():
        return torch.stack(tuple(parts), axis)
    for place in range(out.shape[axis]):
        out.select(axis, place).copy_(next(parts))
    return out


def _spread(low: Tensor) -> Tensor:
    """:func:`_synthesise` where all details are zero: each value over its 2³ voxels."""
    return F.interpolate(low * _GAIN, scale_factor=2, mode="nearest")


def _padded_to_even(x: Tensor, mode: str) -> Tensor:
    """(B, C, D, H, W) with one sample more at the end of each odd axis."""
    if mode == "zero":
        odd = [n % 2 for n in x.shape[2:]]
        return F.pad(x, (0, odd[2], 0, odd[1], 0, odd[0])) if any(odd) else x
    for axis in (2, 3, 4):
        n = x.shape[axis]
        if n % 2:
            repeated = {"constant": n - 1, "symmetric": n - 1, "reflect": max(n - 2, 0), "periodic": 0}[mode]
            x = torch.cat((x, x.narrow(axis, repeated, 1)), axis)
    return x


def _cropped(x: Tensor, size: Size) -> Tensor:
    d, h, w = size
    return x[:, :, :d, :h, :w]


def _in_one_dtype(coeffs: Coefficients) -> Coefficients:
    dtype = coeffs.low.dtype
    for details in coeffs.high:
        if details is not None:
            dtype = torch.promote_types(dtype, details.dtype)
    high = (h if h is None else h.to(dtype) for h in coeffs.high)
    return Coefficients(coeffs.low.to(dtype), tuple(high))


def _check_shapes(coeffs: Coefficients, sizes: list[Size], wavelet: str) -> None:
    """``sizes``: of the smooth band of each level, coarsest first, then of the volume."""
    batch, channels = coeffs.low.shape[:2]
    expected = [(batch, channels, *sizes[0])]
    found = [tuple(coeffs.low.shape)]
    for details, size in zip(coeffs.high, sizes[:-1], strict=True):
        if details is not None:
            expected.append((batch, len(BANDS), channels, *size))
            found.append(tuple(details.shape))
    if found != expected:
        raise ValueError(
            f"{len(coeffs.high)} levels of {wavelet} of a volume of {sizes[-1]} voxels have bands "
            f"{expected}, got {found}. Pass the size and the wavelet that they were made with."
        )
