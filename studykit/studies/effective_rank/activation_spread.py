"""How widely an encoder's activations spread: the check for feature collapse (claim of arXiv 2512.21769)."""

from dataclasses import dataclass
from typing import Any

from studykit.metrics.effective_rank import feature_matrix

DEAD_SHARE_OF_RMS = 0.01


@dataclass(frozen=True)
class ActivationSpread:
    """Spread of a feature matrix.

    Attributes:
        deviation: standard deviation of all activations taken together, in the encoder's units.
        dead_share: share of features whose deviation over the samples is at most 1 % of the root mean square
            of all activations: they say the same of every sample.
        kurtosis: excess kurtosis of all activations; 0 for a normal distribution, high for a narrow peak with
            long tails. NaN where all activations are equal.
    """

    deviation: float
    dead_share: float
    kurtosis: float


def activation_spread(features: Any) -> ActivationSpread:
    """Spread of (n, dim) features, population statistics in float64.

    Raises:
        ValueError: see :func:`~studykit.metrics.effective_rank.feature_matrix`.
    """
    x = feature_matrix(features)
    rms = x.square().mean().sqrt()
    dead = x.std(dim=0, correction=0) <= DEAD_SHARE_OF_RMS * rms
    centred = x - x.mean()
    variance = centred.square().mean()
    constant = x.min() == x.max()
    kurtosis = float("nan") if constant else float(centred.pow(4).mean() / variance.square() - 3)
    return ActivationSpread(
        deviation=0.0 if constant else float(variance.sqrt()),
        dead_share=float(dead.double().mean()),
        kurtosis=kurtosis,
    )
