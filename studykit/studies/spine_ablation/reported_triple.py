"""Whether a mean IoU and a mean Dice can stand side by side, and how unequal the scores under them must be.

Within one class of one case Dice = 2 IoU / (1 + IoU). That is a concave function, so a mean Dice is at most
that of the mean IoU (all scores equal) and at least the mean IoU itself (every score 0 or 1).
"""

import math
from dataclasses import dataclass


def dice_of(iou: float) -> float:
    """Dice of the same mask.

    >>> round(dice_of(0.847), 4)
    0.9172
    """
    return 2 * iou / (1 + iou)


@dataclass(frozen=True)
class Consistency:
    """What a mean IoU and a mean Dice say together.

    Attributes:
        iou, dice: the means.
        low, high: of the mean Dice that the mean IoU allows.
        missed: share of scores at 0 if all others are equal.
        others: IoU of those others.
        least_deviation: smallest standard deviation of IoU over classes and cases that gives both means.
    """

    iou: float
    dice: float
    low: float
    high: float
    missed: float
    others: float
    least_deviation: float


def consistency(iou: float, dice: float) -> Consistency:
    """Work out what two means say of the scores that they were taken over.

    If a share m of the scores is 0 and the others have one IoU x, then (1 - m) x is the mean IoU and
    (1 - m) 2x / (1 + x) the mean Dice: x = 2 IoU / Dice - 1. No other scores with both means lie closer
    together: their mean square is IoU x, and a linear programme over all distributions finds none below it.

    >>> found = consistency(0.847, 0.891)
    >>> round(found.low, 3), round(found.high, 3), round(found.missed, 3), round(found.others, 3)
    (0.847, 0.917, 0.06, 0.901)

    Raises:
        ValueError: means that no scores have together.
    """
    low, high = iou, dice_of(iou)
    if not 0 < iou < 1 or not low <= dice <= high:
        raise ValueError(f"a mean IoU of {iou} goes with a mean Dice of {low:.4f} to {high:.4f}, not {dice}")
    others = 2 * iou / dice - 1
    return Consistency(iou, dice, low, high, 1 - iou / others, others, math.sqrt(iou * (others - iou)))
