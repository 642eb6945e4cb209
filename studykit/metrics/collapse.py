"""Signs that self-distillation has collapsed, to either end: everything alike, or nothing preferred.

A teacher and a student agree best when both say one thing of all samples (*constant*), or of each that all
prototypes are equally likely (*uniform*). Losses look well then. Thresholds are those at which peers stop
their runs; they are alarms, far from what healthy trainings show. A network that is not trained yet says much
the same of all samples too, so the signs are to be heeded once a training is under way.
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, special

from studykit.metrics.effective_rank import effective_rank

ALIKE_COSINE, ALIKE_DEVIATION, ALIKE_RANK, ALIKE_USAGE = 0.995, 0.01, 2.0, 0.1
UNIFORM_ENTROPY, UNIFORM_DIVERGENCE = 0.999, 1e-3


@dataclass(frozen=True)
class CollapseSigns:
    """What a batch of features and predictions looks like.

    Attributes:
        cosine: mean cosine of two samples' features.
        deviation: mean over channels of the deviation of unit-length features, over samples.
        rank: effective rank of the centred features.
        usage: entropy of the teacher's mean prediction over ln K: how many prototypes are used at all.
        entropy: mean entropy of the teacher's predictions over ln K: how unsure each is.
        divergence: mean Kullback-Leibler divergence of the student's prediction from the teacher's, in nats.
    """

    cosine: float
    deviation: float
    rank: float
    usage: float
    entropy: float
    divergence: float

    @property
    def collapsed(self) -> str:
        """``constant``, ``uniform``, or empty for neither."""
        alike = self.cosine > ALIKE_COSINE and self.deviation < ALIKE_DEVIATION
        if alike or self.rank < ALIKE_RANK or self.usage < ALIKE_USAGE:
            return "constant"
        unsure = self.entropy > UNIFORM_ENTROPY and self.divergence < UNIFORM_DIVERGENCE
        return "uniform" if unsure else ""


def collapse_signs(features: Tensor, teacher: Tensor, student: Tensor) -> CollapseSigns:
    """Look at a batch.

    >>> import torch
    >>> features, sure = torch.eye(8), 20 * torch.eye(8)
    >>> collapse_signs(features, sure, sure).collapsed
    ''
    >>> collapse_signs(torch.ones(8, 4), sure, sure).collapsed
    'constant'
    >>> collapse_signs(features, 0 * sure, 0 * sure).collapsed
    'uniform'

    Args:
        features: (N, D), a row a sample; three at least, of distinct subjects.
        teacher, student: (N, K) logits as they enter the softmax, centred and over their temperatures.

    Raises:
        ValueError: fewer than three samples, which have no rank to speak of.
    """
    count = len(features)
    if count < 3:
        raise ValueError(f"a collapse shows over samples: three at least, got {count}")
    unit = F.normalize(features.double(), dim=1)
    pairs = unit @ unit.T
    told, said = teacher.double().log_softmax(1), student.double().log_softmax(1)
    prototypes = math.log(teacher.shape[1])
    return CollapseSigns(
        cosine=float((pairs.sum() - pairs.diagonal().sum()) / (count * (count - 1))),
        deviation=float(unit.std(dim=0, correction=0).mean()),
        rank=effective_rank(features, "covariance"),
        usage=float(special.entr(told.exp().mean(dim=0)).sum()) / prototypes,
        entropy=float(special.entr(told.exp()).sum(dim=1).mean()) / prototypes,
        divergence=float((told.exp() * (told - said)).sum(dim=1).mean()),
    )
