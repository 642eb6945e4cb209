"""Effective rank of a set of feature vectors: the exponential of the entropy of its spectrum, four ways.

The four differ in what is done to the features first and in whether singular values or their squares are
the spectrum, and their values are not comparable. A figure names the one it shows.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

DEFINITIONS: dict[str, str] = {
    "bertswin": "centred, rows of unit length, p from squared singular values; BertsWin's authors read lower "
    "as better",
    "roy_vetterli": "p from the singular values of the features as they are; Roy and Vetterli (2007) judge "
    "neither way",
    "rankme": "the same with 1e-7 added to each p; RankMe (Garrido et al. 2023) reads higher as better",
    "covariance": "centred, p from squared singular values, so from eigenvalues of the covariance; no "
    "reading of its own",
}


def effective_rank(features: Any, definition: str = "bertswin") -> float:
    """exp(−Σ p ln p) of the normalised spectrum p of ``features``.

    With σ the min(n, dim) singular values and λ the dim eigenvalues of the covariance, in float64 throughout:

    - ``"bertswin"``: features less their mean, then each row over its length (not centred again); λ of those
      rows; p = λ/Σλ + 1e-10. Source: the released code of arXiv 2512.21769, which takes at most 2000 volumes
      and averages the encoder's output over the token grid.
    - ``"roy_vetterli"``: p = σ/Σσ. Source: Roy and Vetterli 2007, EUSIPCO, The effective rank.
    - ``"rankme"``: p = σ/Σσ + 1e-7, features not centred. Source: arXiv 2210.02885, equation 1.
    - ``"covariance"``: λ of the centred features; p = λ/Σλ.

    None changes when the rows are permuted, when the features are rotated, or when all are scaled by one
    number; the centred two do not change when a vector is added to every row. The singular values are taken
    of the features, as roots of a Gram matrix's eigenvalues are wrong below 1e-8 of the largest. Where λ is
    the spectrum it is those eigenvalues: faster, and an entropy of them loses nothing.

    >>> round(effective_rank(np.eye(6), "roy_vetterli"), 6)
    6.0

    Args:
        features: (n, dim) array or tensor, a row a sample.
        definition: one of :data:`DEFINITIONS`.

    Returns:
        a number from 1 to min(n, dim), give or take what the added constants bring. 0.0 where there is no
        spectrum: all features zero, or, for the centred definitions, all rows alike up to rounding.

    Raises:
        ValueError: an unknown definition, or see :func:`feature_matrix`.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"Unknown definition {definition!r}. Known: {', '.join(DEFINITIONS)}.")
    x = feature_matrix(features)
    if definition in ("roy_vetterli", "rankme"):
        return _exp_entropy(torch.linalg.svdvals(x), 1e-7 if definition == "rankme" else 0.0)
    x = _centred(x)
    if definition == "covariance":
        return _exp_entropy(_squared_singular_values(x), 0.0)
    squares = _squared_singular_values(torch.nn.functional.normalize(x, dim=1))
    spectrum = torch.cat([squares, squares.new_zeros(x.shape[1] - len(squares))])
    return _exp_entropy(spectrum, 1e-10)


def feature_matrix(features: Any) -> Tensor:
    """Features as a float64 tensor (n, dim) on the CPU, without gradient.

    >>> feature_matrix([[1, 2], [3, 4]]).dtype
    torch.float64

    Raises:
        ValueError: not two axes, fewer than two rows, no column, or a NaN or infinite value.
    """
    x = torch.as_tensor(features).detach().to("cpu", torch.float64)
    if x.ndim != 2:
        raise ValueError(f"features must be (n, dim), got shape {tuple(x.shape)}; pool tokens first.")
    if x.shape[0] < 2 or x.shape[1] < 1:
        raise ValueError(f"features need at least 2 rows and 1 column, got shape {tuple(x.shape)}.")
    if not _largest(x).isfinite():
        bad = int((~x.isfinite()).any(dim=1).sum())
        raise ValueError(f"{bad} of {x.shape[0]} rows of features have NaN or infinite values.")
    return x


def _centred(x: Tensor) -> Tensor:
    """Rows less their mean, the largest entry scaled to 1; exactly zero where only rounding is left."""
    centred = x - x.mean(dim=0)
    largest = _largest(centred)
    rounding = x.shape[0] * torch.finfo(x.dtype).eps * _largest(x)
    return centred.div_(largest) if largest > rounding else centred.zero_()


def _largest(x: Tensor) -> Tensor:
    """max |x| in one pass without a copy; NaN or infinite where an entry is."""
    low, high = x.aminmax()
    return torch.maximum(-low, high)


def _squared_singular_values(x: Tensor) -> Tensor:
    """(min(n, dim),), from the smaller of the two Gram matrices; off by rounding of the largest.

    NumPy's product sees that it is symmetric, and does half the work.
    """
    rows = x.numpy()
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    return torch.from_numpy(np.linalg.eigvalsh(gram)).clamp(min=0)


def _exp_entropy(spectrum: Tensor, added: float) -> float:
    if not spectrum.sum() > 0:
        return 0.0
    p = spectrum / spectrum.sum() + added
    return float(torch.special.entr(p).sum().exp())
