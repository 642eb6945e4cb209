"""Linear probe: how well frozen features tell classes apart, trained on one subject and tested on another."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST_ITERATIONS = 200
MOST_OF_A_CLASS = 800


@dataclass(frozen=True)
class ProbeScore:
    """How a probe did on the test side.

    Attributes:
        balanced_accuracy: mean over classes of the share found of each.
        recall: that share, for each class scored.
        chance: balanced accuracy of a guess, 1 / number of classes.
        n_train, n_test: samples used.
    """

    balanced_accuracy: float
    recall: dict[int, float]
    chance: float
    n_train: int
    n_test: int


def linear_probe(
    train_x: "ArrayLike", train_y: "ArrayLike", test_x: "ArrayLike", test_y: "ArrayLike"
) -> ProbeScore:
    """Multinomial logistic regression on standardised features, every class with the same weight.

    Mean and deviation are the training side's; a feature that does not vary there counts as 0. The penalty is
    scikit-learn's default (C = 1) and the same for all features: nothing is chosen on the test side. Only
    classes that both sides have are used, and at most 800 training samples of a class, evenly spaced. Newton
    steps end where the usual solver does, sooner: features of low rank are badly conditioned. Deterministic.

    Args:
        train_x, test_x: (n, dim) features.
        train_y, test_y: (n,) whole numbers; a sample of a negative class is left out.

    Raises:
        ValueError: shapes that do not fit, or fewer than two classes that both sides have.
        sklearn.exceptions.ConvergenceWarning: (a warning) the fit stopped before it converged.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (first_x, first_y), (second_x, second_y) = _side(train_x, train_y), _side(test_x, test_y)
    if first_x.shape[1] != second_x.shape[1]:
        raise ValueError(f"both sides need the same features, got {first_x.shape[1]} and {second_x.shape[1]}")
    classes = np.intersect1d(first_y[first_y >= 0], second_y[second_y >= 0])
    if classes.size < 2:
        raise ValueError(f"a probe needs two classes that both sides have, they share {classes.tolist()}")
    used = np.concatenate([_evenly(np.flatnonzero(first_y == c)) for c in classes])
    tested = np.isin(second_y, classes)
    probe = make_pipeline(
        StandardScaler(),
        LogisticRegression(class_weight="balanced", solver="newton-cholesky", max_iter=MOST_ITERATIONS),
    )
    probe.fit(first_x[used], first_y[used])
    truth, found = second_y[tested], probe.predict(second_x[tested])
    recall = {int(c): float((found[truth == c] == c).mean()) for c in classes}
    return ProbeScore(
        float(np.mean(list(recall.values()))), recall, 1 / classes.size, used.size, int(tested.sum())
    )


def _evenly(index: np.ndarray) -> np.ndarray:
    return index[:: -(-index.size // MOST_OF_A_CLASS)]


def _side(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    features, classes = np.asarray(x, dtype=np.float64), np.asarray(y)
    if features.ndim != 2 or classes.shape != features.shape[:1] or classes.dtype.kind not in "iu":
        raise ValueError(
            f"a probe needs features (n, dim) and n whole numbers, got shapes {features.shape} and "
            f"{classes.shape} of {classes.dtype}"
        )
    return features, classes
