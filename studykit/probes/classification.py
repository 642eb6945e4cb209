"""What a frozen encoder says of whole volumes: its class token, the mean of its patch tokens, a linear probe.

An encoder without a class token has the mean alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.methods.method import Method

CLASS_TOKEN, MEAN_TOKEN = "class token", "mean of patch tokens"
VOLUMES_AT_ONCE = 8
MOST_ITERATIONS = 200


def volume_features(method: Method, images: Tensor) -> dict[str, NDArray[np.float32]]:
    """Features of whole volumes, nothing hidden, by name: (N, 1, D, H, W) to (N, width) each.

    The encoder gives a class token and patch tokens, as :class:`studykit.models.vit.Encoder` does.
    """
    parts = [(cls, tokens.mean(1)) for cls, tokens in _encoded(method, images)]
    cls, mean = (torch.cat(own).numpy() for own in zip(*parts, strict=True))
    return {CLASS_TOKEN: cls, MEAN_TOKEN: mean}


def volume_tokens(method: Method, images: Tensor) -> Tensor:
    """Patch tokens of whole volumes, nothing hidden: (N, 1, D, H, W) to float32 (N, T, width) on the CPU."""
    return torch.cat([tokens for _, tokens in _encoded(method, images)])


@torch.no_grad()
def _encoded(method: Method, images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Class token (n, width) and patch tokens (n, T, width) of some volumes at once, float32 on the CPU."""
    method.eval()
    device = next(method.parameters()).device
    pairs = (method.model.encoder(part.to(device)) for part in images.split(VOLUMES_AT_ONCE))
    return [(cls.float().cpu(), tokens.float().cpu()) for cls, tokens in pairs]


def probe_scores(train_x: NDArray, train_y: NDArray, test_x: NDArray) -> NDArray[np.float64]:
    """Probability of class 1 for test features (N, width), by logistic regression on standardised features.

    The penalty is scikit-learn's default (C = 1); mean and deviation are the training side's. Deterministic.

    Args:
        train_x: (n, width) features.
        train_y: (n,) 0 or 1, both of them.

    Raises:
        ValueError: one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if set(np.unique(train_y).tolist()) != {0, 1}:
        raise ValueError(f"a probe of two classes needs both, 0 and 1, got {np.unique(train_y).tolist()}")
    newton = LogisticRegression(max_iter=MOST_ITERATIONS, solver="newton-cholesky")
    fit = make_pipeline(StandardScaler(), newton).fit(np.asarray(train_x, np.float64), train_y)
    return fit.predict_proba(np.asarray(test_x, np.float64))[:, 1]
