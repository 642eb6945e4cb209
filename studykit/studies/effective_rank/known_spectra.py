"""Features whose effective rank is known: what definitions are held against."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def known_spectrum(lengths: ArrayLike, copies: ArrayLike = 1, offset: float = 0.0) -> NDArray:
    """Features (n, k) whose rows run along one of k axes each, both ways, then all shifted.

    Args:
        lengths: (k,) of the rows along each axis.
        copies: (k,) or one number: rows a way.
        offset: added to every feature.

    >>> known_spectrum([1.0, 0.5]).tolist()
    [[1.0, 0.0], [0.0, 0.5], [-1.0, 0.0], [0.0, -0.5]]
    """
    rows = np.repeat(np.diag(lengths), copies, axis=0)
    return np.concatenate([rows, -rows]) + offset


def entropy_rank(spectrum: ArrayLike) -> float:
    """Exponential of the entropy of a spectrum (k,) above 0, taken as shares (Roy and Vetterli 2007).

    >>> round(float(entropy_rank([3.0, 3.0, 3.0])), 12)
    3.0
    """
    p = np.asarray(spectrum) / np.sum(spectrum)
    return np.exp(-(p * np.log(p)).sum())
