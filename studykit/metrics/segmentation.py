"""Dice, IoU, accuracy of a class, HD95, average surface distance and surface Dice of label maps, in mm.

Dice (1945), and IoU = Dice / (2 - Dice); the accuracy of a class is the share of its voxels that were found;
HD95 as in Taha and Hanbury (BMC Medical Imaging 2015): the larger of the two directed 95th percentiles; the
average surface distance is the mean over the surface voxels of both sides; surface Dice at a tolerance as in
Nikolov et al. (JMIR 2021), counted in surface voxels: those of a mask that have one of their six neighbours
outside it, or outside the volume. All are equal to MONAI's; other tools' HD95 may differ by many mm.

Empty masks. A class that neither side has is not scored: NaN everywhere, left out of means. Of a class that
one side alone has, nothing was found right: Dice, IoU and surface Dice 0, and distances the diagonal of the
volume, the finite worst case, so that a missed class costs a mean as much as the farthest error would. A
class that the truth does not have has no accuracy.

Voxels left out. Where the truth has the label ``ignore``, a voxel is of no class on either side, before any
score is taken: what is predicted there is neither gain nor loss, and both masks end at its border.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PERCENTILE = 95


@dataclass(frozen=True)
class SegmentationScore:
    """Scores of each class asked for; NaN where neither side has it.

    Attributes:
        dice: in 0 to 1, by class.
        accuracy: share of the true voxels that were found, in 0 to 1, by class; NaN where there are none.
        hd95: mm, by class.
        asd: average symmetric surface distance in mm, by class.
        surface_dice: in 0 to 1, by class.
        tolerance_mm: distance up to which a surface voxel counts as found.
    """

    dice: dict[int, float]
    accuracy: dict[int, float]
    hd95: dict[int, float]
    asd: dict[int, float]
    surface_dice: dict[int, float]
    tolerance_mm: float

    @property
    def iou(self) -> dict[int, float]:
        """Intersection over union, in 0 to 1, by class."""
        return {label: dice / (2 - dice) for label, dice in self.dice.items()}

    @property
    def mean_dice(self) -> float:
        """Mean over the scored classes; NaN where there is none."""
        return _mean(self.dice.values())

    @property
    def mean_hd95(self) -> float:
        """Mean over the scored classes in mm; NaN where there is none."""
        return _mean(self.hd95.values())

    @property
    def mean_surface_dice(self) -> float:
        """Mean over the scored classes; NaN where there is none."""
        return _mean(self.surface_dice.values())


def segmentation_score(
    predicted: "ArrayLike",
    truth: "ArrayLike",
    spacing_mm: Sequence[float],
    classes: Iterable[int],
    *,
    tolerance_mm: float,
    ignore: int = -1,
) -> SegmentationScore:
    """Hold a predicted label map against the true one.

    >>> truth = np.zeros((8, 8, 8), dtype=int)
    >>> truth[2:6, 2:6, 2:6] = 1
    >>> score = segmentation_score(np.roll(truth, 1, axis=0), truth, (2.0, 1.0, 1.0), [1], tolerance_mm=1.0)
    >>> score.dice, score.hd95  # three of four planes overlap; a voxel is 2 mm deep
    ({1: 0.75}, {1: 2.0})

    Args:
        predicted, truth: (D, H, W) whole numbers.
        spacing_mm: of the voxels along (D, H, W).
        classes: labels to score.
        tolerance_mm: of the surface Dice.
        ignore: label in ``truth`` of voxels to leave out.

    Raises:
        ValueError: maps that are not 3-D whole numbers of one shape, a spacing that is not three positive
            numbers, a negative tolerance, or classes that are none, repeated or ``ignore``.
    """
    found, true = _label_map("predicted", predicted), _label_map("truth", truth)
    if found.shape != true.shape:
        raise ValueError(f"both maps need one shape, got predicted {found.shape} and truth {true.shape}")
    spacing = tuple(float(step) for step in spacing_mm)
    if len(spacing) != 3 or not all(0 < step < math.inf for step in spacing):
        raise ValueError(f"spacing_mm must be three positive numbers, got {spacing}")
    if not 0 <= tolerance_mm < math.inf:
        raise ValueError(f"tolerance_mm must be a number from 0, got {tolerance_mm}")
    asked = [int(label) for label in classes]
    if not asked or len(set(asked)) < len(asked) or ignore in asked:
        raise ValueError(f"classes must be distinct labels without {ignore} (left out), got {asked}")
    kept = true != ignore
    diagonal = math.hypot(*(side * step for side, step in zip(true.shape, spacing, strict=True)))
    scores = {
        label: _score((found == label) & kept, (true == label) & kept, spacing, tolerance_mm, diagonal)
        for label in asked
    }
    by_measure = ({label: score[i] for label, score in scores.items()} for i in range(5))
    return SegmentationScore(*by_measure, tolerance_mm)


def _score(
    found: "NDArray[np.bool_]",
    true: "NDArray[np.bool_]",
    spacing: tuple[float, ...],
    tolerance_mm: float,
    diagonal: float,
) -> tuple[float, float, float, float, float]:
    """Dice, accuracy, HD95, average surface distance and surface Dice of two masks of one class."""
    n_found, n_true = int(found.sum()), int(true.sum())
    if not n_found and not n_true:
        return (math.nan,) * 5
    if not n_found or not n_true:
        return 0.0, 0.0 if n_true else math.nan, diagonal, diagonal, 0.0
    both = int((found & true).sum())
    box = _bounding_box(found | true)
    there, back = _surface_distances(found[box], true[box], spacing)
    hd95 = max(float(np.percentile(distances, PERCENTILE)) for distances in (there, back))
    near = int((there <= tolerance_mm).sum()) + int((back <= tolerance_mm).sum())
    surface = there.size + back.size
    asd = float(there.sum() + back.sum()) / surface
    return 2 * both / (n_found + n_true), both / n_true, hd95, asd, near / surface


def _surface_distances(
    first: "NDArray[np.bool_]", second: "NDArray[np.bool_]", spacing: tuple[float, ...]
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Distance in mm of each surface voxel of either mask to the nearest one of the other."""
    from scipy.ndimage import binary_erosion, distance_transform_edt

    edges = [mask & ~binary_erosion(mask) for mask in (first, second)]
    to_first, to_second = (distance_transform_edt(~edge, sampling=spacing) for edge in edges)
    return to_second[edges[0]], to_first[edges[1]]


def _bounding_box(mask: "NDArray[np.bool_]") -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        present = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(present[0]), int(present[-1]) + 1))
    return tuple(box)


def _label_map(name: str, labels: "ArrayLike") -> "NDArray[np.integer]":
    array = np.asarray(labels)
    if array.ndim != 3 or not array.size or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a label map (D, H, W) of whole numbers, got shape {array.shape} of {array.dtype}"
        )
    return array


def _mean(values: Iterable[float]) -> float:
    scored = [value for value in values if not math.isnan(value)]
    return sum(scored) / len(scored) if scored else math.nan
