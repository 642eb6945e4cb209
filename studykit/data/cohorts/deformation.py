"""Smooth invertible deformations: flows of stationary velocity fields, by scaling and squaring.

Source of the scheme: Arsigny et al. 2006, MICCAI, "A log-Euclidean framework for statistics on
diffeomorphisms". A field is a tensor (3, X, Y, Z) float32 on the CPU, in voxels of its own grid along X, Y
and Z; a displacement u stands for the map p → p + u(p).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

LARGEST_STEP = 0.25
"""In voxels; a flow is cut into 2ⁿ steps so that none is longer."""
SOURCE_BLUR = 0.7
"""Standard deviation in voxels by which sources and sinks are smoothed: the grid holds no sharper ones."""

AXES = (0, 1, 2)


def smooth_noise(
    shape: Sequence[int], distance: float, channels: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cubic B-spline through standard normal control values: (channels, X, Y, Z), standard deviation about 1.

    Args:
        distance: between control points, in voxels.
    """
    controls = [math.ceil((side - 1) / distance) + 4 for side in shape]
    values = rng.standard_normal((channels, *controls)).astype(np.float32)
    for axis, (side, count) in enumerate(zip(shape, controls, strict=True), start=1):
        weights = _spline_weights(side, count, distance)
        values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(values)


def exponential(velocity: Tensor) -> Tensor:
    """Displacement after unit time of the flow of ``velocity``; that of ``-velocity`` is its inverse."""
    longest = float(velocity.square().sum(dim=0).max().sqrt())
    halvings = max(0, math.ceil(math.log2(longest / LARGEST_STEP))) if longest > 0 else 0
    displacement = velocity / 2**halvings
    for _ in range(halvings):
        displacement = compose(displacement, displacement)
    return displacement


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Displacement of moving by ``first`` and then by ``second``."""
    return first + sample(second, first + identity(first.shape[1:]))


def identity(shape: Sequence[int]) -> Tensor:
    """Each voxel's own index: (3, X, Y, Z) float32."""
    axes = [torch.arange(side, dtype=torch.float32) for side in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def sample(field: Tensor, points: Tensor) -> Tensor:
    """Trilinear interpolation; outside the grid a field goes on as at its border.

    Args:
        field: (C, X, Y, Z).
        points: (3, …, …, …) in voxels of the field's grid.

    Returns:
        (C, …, …, …).
    """
    scale = torch.tensor([2 / max(side - 1, 1) for side in field.shape[1:]])
    grid = (points * scale[:, None, None, None] - 1).flip(0).movedim(0, -1)
    return F.grid_sample(field[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[
        0
    ]


def jacobian(displacement: Tensor) -> Tensor:
    """Volume factor of the map at each voxel, (X, Y, Z): positive everywhere if the map does not fold."""
    unit = torch.eye(3)[..., None, None, None]
    rows = [torch.stack(torch.gradient(part)) + e for part, e in zip(displacement, unit, strict=True)]
    return (rows[0] * torch.linalg.cross(rows[1], rows[2], dim=0)).sum(dim=0)


class Resizing:
    """Changes the volumes of structures, each by a factor of its own and all in one flow.

    The velocity is the gradient of a potential. Its Laplacian, the rate of growth, is constant in each
    structure, balanced by the opposite growth of what yields, and zero elsewhere: what is listed with a
    factor of 1 is pushed aside with its volume kept. The grid blurs sources and sinks; their strengths are
    such that every structure's mean rate is the one asked for, and are corrected once by what the flow does.

    Args:
        shares: for each structure, the share of each voxel that it fills, (X, Y, Z).
        yielding: share of each voxel that gives way or fills the gap.

    Raises:
        ValueError: a structure without voxels, or nothing that yields.
    """

    def __init__(self, shares: Sequence[NDArray[np.float32]], yielding: NDArray[np.float32]) -> None:
        if not yielding.any() or not all(share.any() for share in shares):
            raise ValueError("a change of size needs voxels of each structure and of what yields")
        self._shares, self._yielding = tuple(shares), yielding
        self._waves, self._even = _waves(yielding.shape)
        self._blur = np.exp(-(SOURCE_BLUR**2) / 2 * sum(wave**2 for wave in self._waves))
        amounts = [share.sum(dtype=np.float64) for share in shares]
        self._balance = [np.float32(a / yielding.sum(dtype=np.float64)) for a in amounts]
        smoothed = [self._smoothed(share - self._balance[k] * yielding) for k, share in enumerate(shares)]
        rates = [[np.vdot(s, part) / a for part in smoothed] for s, a in zip(shares, amounts, strict=True)]
        self._strengths = np.linalg.inv(np.array(rates).reshape(len(shares), len(shares)))

    def velocity(self, factors: Sequence[float]) -> Tensor:
        """Velocity whose flow multiplies the structures' volumes by ``factors``.

        Raises:
            ValueError: a factor that is not positive, or not one for each structure.
        """
        if len(factors) != len(self._shares) or min(factors, default=1) <= 0:
            raise ValueError(
                f"volume factors must be positive, one for each of {len(self._shares)} structures; got "
                f"{tuple(factors)}"
            )
        asked = np.array(factors, dtype=np.float64)
        # A growing structure leaves its first place, and grows only there; a shrinking one stays inside.
        rates = np.where(asked > 1, asked - 1, np.log(asked))
        first = self._potential_flow(rates)
        reached = self._volume_factors(first)
        return self._potential_flow(rates + np.where(asked > 1, asked - reached, np.log(asked / reached)))

    def _potential_flow(self, rates: NDArray[np.float64]) -> Tensor:
        total = np.zeros_like(self._yielding)
        strengths = (self._strengths @ rates).astype(np.float32)
        for strength, share, balance in zip(strengths, self._shares, self._balance, strict=True):
            total += strength * (share - balance * self._yielding)
        square = sum(wave**2 for wave in self._waves)
        square[0, 0, 0] = 1
        potential = np.fft.rfftn(total, self._even, AXES) * self._blur / -square
        return torch.from_numpy(np.stack([self._inverse(1j * wave * potential) for wave in self._waves]))

    def _volume_factors(self, velocity: Tensor) -> NDArray[np.float64]:
        local = jacobian(exponential(velocity)).numpy()
        return np.array([np.vdot(s, local) / s.sum(dtype=np.float64) for s in self._shares])

    def _smoothed(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._inverse(np.fft.rfftn(field, self._even, AXES) * self._blur)

    def _inverse(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        field = np.fft.irfftn(spectrum, self._even, AXES)
        return field[tuple(map(slice, self._yielding.shape))].astype(np.float32)


def _waves(shape: Sequence[int]) -> tuple[list[NDArray[np.float32]], tuple[int, ...]]:
    """Wave numbers along X, Y, Z of a real transform, and the even shape that it is padded to."""
    even = tuple(side + side % 2 for side in shape)
    waves = [np.fft.fftfreq(even[0]), np.fft.fftfreq(even[1]), np.fft.rfftfreq(even[2])]
    radians = [(2 * np.pi * wave).astype(np.float32) for wave in waves]
    return np.meshgrid(*radians, indexing="ij", sparse=True), even


def _spline_weights(side: int, count: int, distance: float) -> NDArray[np.float32]:
    """(side, count): uniform cubic B-spline, scaled so that normal controls keep their deviation."""
    place = 1 + np.arange(side) / distance
    t = np.abs(place[:, None] - np.arange(count))
    near, far = 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    weights = np.where(t < 1, near, far)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
