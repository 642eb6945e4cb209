"""How labelled training crops are changed: as nnU-Net does (Isensee et al. 2021), from numbers drawn before.

A :class:`Change` holds every number of one crop, so that whoever draws them on the CPU gets the same crop on
any device. Resampling and smoothing are MONAI's; the low-resolution simulation of nnU-Net is left out.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from studykit.imports import without_url_grammar

NUMBERS = 19
"""Uniform draws in [0, 1) that decide a change."""

ROTATE_SHARE, ROTATE_DEGREES = 0.2, 30.0
SCALE_SHARE, SCALE = 0.2, (0.7, 1.4)
NOISE_SHARE, NOISE_VARIANCE = 0.1, (0.0, 0.1)
SMOOTH_SHARE, SMOOTH_VOXELS = 0.1, (0.5, 1.0)
BRIGHTNESS_SHARE, BRIGHTNESS = 0.15, (0.75, 1.25)
CONTRAST_SHARE, CONTRAST = 0.15, (0.75, 1.25)
GAMMA_SHARE, GAMMA = 0.3, (0.7, 1.5)

Matrix = list[list[float]]


@dataclass(frozen=True)
class Change:
    """The change of one crop; None where a part of it is left out.

    Attributes:
        turn: 3x3, from (D, H, W) steps of the crop to steps of the volume: rotation times scale.
        scale: volume voxels that a crop voxel spans.
        mirrored: whether along each of D, H, W.
        noise: deviation of the Gaussian noise, in the image's intensities.
        noise_seed: of that noise.
        smooth: deviation of the Gaussian filter in voxels.
        brightness: factor of the intensities.
        contrast: factor of the distance to the mean.
        gamma: exponent on the crop's own range.
    """

    turn: Matrix | None = None
    scale: float = 1.0
    mirrored: tuple[bool, bool, bool] = (False, False, False)
    noise: float | None = None
    noise_seed: int = 0
    smooth: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    gamma: float | None = None


def change_from(numbers: list[float], noise_seed: int) -> Change:
    """The change that ``NUMBERS`` uniform draws decide, mirrored along each axis with probability 1/2."""
    left = iter(numbers)

    def sometimes(share: float, span: tuple[float, float]) -> float | None:
        chosen, place = next(left), next(left)
        return span[0] + place * (span[1] - span[0]) if chosen < share else None

    limit = math.radians(ROTATE_DEGREES)
    rotated = next(left) < ROTATE_SHARE
    angles = [limit * (2 * next(left) - 1) for _ in range(3)]
    scale = sometimes(SCALE_SHARE, SCALE)
    turn = _turn(angles if rotated else [0.0] * 3, scale or 1.0) if rotated or scale else None
    mirrored = tuple(next(left) < 0.5 for _ in range(3))
    variance = sometimes(NOISE_SHARE, NOISE_VARIANCE)
    noise = None if variance is None else math.sqrt(variance)
    smooth = sometimes(SMOOTH_SHARE, SMOOTH_VOXELS)
    brightness = sometimes(BRIGHTNESS_SHARE, BRIGHTNESS)
    contrast = sometimes(CONTRAST_SHARE, CONTRAST)
    gamma = sometimes(GAMMA_SHARE, GAMMA)
    return Change(turn, scale or 1.0, mirrored, noise, noise_seed, smooth, brightness, contrast, gamma)


def warp(window: Tensor, turn: Matrix, centre: list[float], size: tuple[int, int, int]) -> Tensor:
    """A turned and scaled crop of an image and its classes: trilinear, and nearest neighbour.

    Args:
        window: (2, d, h, w), image and class numbers.
        turn: see :class:`Change`.
        centre: the crop's centre in voxels of the window.
        size: (D, H, W) of the crop.

    Returns:
        (2, D, H, W).
    """
    with without_url_grammar():
        from monai.networks.layers import AffineTransform

    theta = torch.zeros(3, 4)
    theta[:, :3] = torch.tensor(turn)
    theta[:, 3] = torch.tensor(centre) - theta[:, :3] @ ((torch.tensor(size) - 1) / 2)
    theta = theta.to(window.device, non_blocking=True)
    crop = [
        AffineTransform(size, mode=mode, padding_mode="border")(part[None, None], theta)
        for part, mode in zip(window, ("bilinear", "nearest"), strict=True)
    ]
    return torch.cat(crop)[:, 0]


def change_intensities(image: Tensor, change: Change) -> Tensor:
    """Noise, smoothing, brightness, contrast and gamma of an image (D, H, W), in nnU-Net's order.

    Contrast keeps the mean and stays within the range; gamma keeps mean and deviation.
    """
    if change.noise is not None:
        generator = torch.Generator().manual_seed(change.noise_seed)
        noise = torch.randn(image.shape, generator=generator)
        image = image + change.noise * noise.to(image.device, non_blocking=True)
    if change.smooth is not None:
        with without_url_grammar():
            from monai.networks.layers import GaussianFilter

        image = GaussianFilter(3, change.smooth)(image[None, None])[0, 0]
    if change.brightness is not None:
        image = image * change.brightness
    if change.contrast is not None:
        mean = image.mean()
        image = torch.lerp(mean, image, change.contrast).clamp(image.min(), image.max())
    if change.gamma is not None:
        low, high = image.aminmax()
        span = high - low
        curved = ((image - low) / span.clamp(min=1e-7)) ** change.gamma * span
        deviation, mean = torch.std_mean(image)
        curved_deviation, curved_mean = torch.std_mean(curved)
        image = (curved - curved_mean) * (deviation / curved_deviation.clamp(min=1e-8)) + mean
    return image


def _turn(angles: list[float], scale: float) -> Matrix:
    """Rotations about D, H and W, one after the other, times ``scale``."""
    matrix = scale * torch.eye(3, dtype=torch.float64)
    for axis, angle in enumerate(angles):
        one, two = (other for other in range(3) if other != axis)
        plane = torch.eye(3, dtype=torch.float64)
        plane[one, one] = plane[two, two] = math.cos(angle)
        plane[one, two], plane[two, one] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ plane
    return matrix.tolist()
