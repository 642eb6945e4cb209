"""Signs that self-distillation has collapsed, to either end: everything alike, or nothing preferred.

A teacher and a student agree best when both say one thing of all samples (*constant*), or of each that all
prototypes are equally likely (*uniform*). Losses look well then. Thresholds are those at which peers stop
their runs; they are alarms, far from what healthy trainings show. A network that is not trained yet says much
the same of all samples too, so the signs are to be heeded once a training is under way.
"""

import math
from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor, special

from studykit.metrics.effective_rank import effective_rank

ALIKE_COSINE, ALIKE_DEVIATION, ALIKE_RANK, ALIKE_USAGE = 0.995, 0.01, 2.0, 0.1
UNIFORM_ENTROPY, UNIFORM_DIVERGENCE = 0.999, 1e-3


ENDS = ("constant", "uniform")


@dataclass(frozen=True)
class FeatureSigns:
    """What a batch of features looks like.

    Attributes:
        cosine: mean cosine of two samples' features.
        deviation: mean over channels of the deviation of unit-length features, over samples.
        rank: effective rank of the centred features.
    """

    cosine: float
    deviation: float
    rank: float

    @property
    def collapsed(self) -> str:
        """One of :data:`ENDS`, or empty for none."""
        alike = self.cosine > ALIKE_COSINE and self.deviation < ALIKE_DEVIATION
        return "constant" if alike or self.rank < ALIKE_RANK else ""

    def records(self, name: str) -> dict[str, float]:
        """Each sign as ``name/sign``, and 1 or 0 for ``collapsed/constant`` and ``collapsed/uniform``."""
        ends = {f"collapsed/{end}": float(self.collapsed == end) for end in ENDS}
        return {f"{name}/{sign}": value for sign, value in asdict(self).items()} | ends


@dataclass(frozen=True)
class CollapseSigns(FeatureSigns):
    """What a batch of features and predictions looks like.

    Attributes:
        usage: entropy of the teacher's mean prediction over ln K: how many prototypes are used at all.
        entropy: mean entropy of the teacher's predictions over ln K: how unsure each is.
        divergence: mean Kullback-Leibler divergence of the student's prediction from the teacher's, in nats.
    """

    usage: float
    entropy: float
    divergence: float

    @property
    def collapsed(self) -> str:
        """One of :data:`ENDS`, or empty for none."""
        if super().collapsed or self.usage < ALIKE_USAGE:
            return "constant"
        unsure = self.entropy > UNIFORM_ENTROPY and self.divergence < UNIFORM_DIVERGENCE
        return "uniform" if unsure else ""


def feature_signs(features: Tensor) -> FeatureSigns:
    """Look at a batch of features.

    >>> import torch
    >>> feature_signs(torch.eye(8)).collapsed
    ''
    >>> feature_signs(torch.ones(8, 4)).collapsed
    'constant'

    Args:
        features: (N, D), a row a sample; three at least, of distinct subjects.

    Raises:
        ValueError: fewer than three samples, which have no rank to speak of.
    """
    count = len(features)
    if count < 3:
        raise ValueError(f"a collapse shows over samples: three at least, got {count}")
    unit = F.normalize(features.double(), dim=1)
    pairs = unit @ unit.T
    return FeatureSigns(
        cosine=float((pairs.sum() - pairs.diagonal().sum()) / (count * (count - 1))),
        deviation=float(unit.std(dim=0, correction=0).mean()),
        rank=effective_rank(features, "covariance"),
    )


def collapse_signs(features: Tensor, teacher: Tensor, student: Tensor) -> CollapseSigns:
    """Look at a batch of features and of what is said of it.

    >>> import torch
    >>> features, sure = torch.eye(8), 20 * torch.eye(8)
    >>> collapse_signs(features, sure, sure).collapsed
    ''
    >>> collapse_signs(features, 0 * sure, 0 * sure).collapsed
    'uniform'

    Args:
        features: as for :func:`feature_signs`.
        teacher, student: (N, K) logits as they enter the softmax, centred and over their temperatures.

    Raises:
        ValueError: fewer than three samples.
    """
    told, said = teacher.double().log_softmax(1), student.double().log_softmax(1)
    prototypes = math.log(teacher.shape[1])
    return CollapseSigns(
        **asdict(feature_signs(features)),
        usage=float(special.entr(told.exp().mean(dim=0)).sum()) / prototypes,
        entropy=float(special.entr(told.exp()).sum(dim=1).mean()) / prototypes,
        divergence=float((told.exp() * (told - said)).sum(dim=1).mean()),
    )
