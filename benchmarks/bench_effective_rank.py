"""``effective_rank`` of 2000 features of width 768 against each definition spelt out in NumPy.

That both give the same number is held by tests/test_benchmarks.py.
"""

from collections.abc import Callable

import numpy as np
import torch
from timing import compared, is_quick, processor, race, write_result

from studykit.metrics.effective_rank import DEFINITIONS, effective_rank

SHAPE = (2000, 768)
LIMIT_S = 1.0
NOTES = (
    "effective_rank of float32 features (2000, 768) whose singular values fall as 1 / k, by each definition, "
    "against the definition spelt out in NumPy float64: singular values by numpy.linalg.svd without vectors, "
    "eigenvalues of the covariance by numpy.linalg.eigvalsh. The limit is of ours."
)


PASSES = (
    "ours refuses values that are not finite, tells rounding from a spectrum, and scales against overflow: "
    "passes over the features that the peer does not make"
)
SINGULAR = "torch's singular values take longer than NumPy's, and ours refuses values that are not finite"
WHY = {"bertswin": PASSES, "roy_vetterli": SINGULAR, "rankme": SINGULAR, "covariance": PASSES}


def features(n: int, dim: int) -> np.ndarray:
    """float32 (n, dim) with a mean that is not zero and no two axes of one strength."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    return (rng.normal(size=(n, dim)) / np.arange(1, dim + 1) @ basis + 0.01).astype(np.float32)


def exp_entropy(spectrum: np.ndarray, added: float = 0.0) -> float:
    p = spectrum / spectrum.sum() + added
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def singular_values(x: np.ndarray) -> np.ndarray:
    return np.linalg.svd(x.astype(np.float64), compute_uv=False)


def covariance_eigenvalues(x: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(np.cov(x, rowvar=False, dtype=np.float64))


def released(x: np.ndarray) -> float:
    """BertsWin's: rows of unit length after centring, whose covariance is not centred again."""
    x = x.astype(np.float64)
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return exp_entropy(np.linalg.eigvalsh(x.T @ x), 1e-10)


PEERS: dict[str, Callable[[np.ndarray], float]] = {
    "bertswin": released,
    "roy_vetterli": lambda x: exp_entropy(singular_values(x)),
    "rankme": lambda x: exp_entropy(singular_values(x), 1e-7),
    "covariance": lambda x: exp_entropy(covariance_eigenvalues(x)),
}


def main(quick: bool) -> None:
    x = features(*SHAPE)
    as_tensor = torch.from_numpy(x)
    rows = []
    for definition in DEFINITIONS:
        turns = {
            "ours": lambda definition=definition: effective_rank(as_tensor, definition),
            "peer": lambda definition=definition: PEERS[definition](x),
        }
        times = race(turns, rounds=3 if quick else 11, clock=processor)
        columns = compared(times["ours"], times["peer"], why=WHY[definition])
        del columns["target"]
        met = "yes" if np.median(times["ours"]) < LIMIT_S else "no"
        rows.append({"definition": definition} | columns | {"limit (ms)": LIMIT_S * 1e3, "met": met})
    write_result("effective_rank", rows, NOTES, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
