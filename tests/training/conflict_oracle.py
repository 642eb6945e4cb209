"""GradientConductor's resolution as it is told, on the vectors themselves."""

import itertools
import math

import torch
from torch import Tensor


def projected_one_by_one(gradients: Tensor, scores: Tensor) -> Tensor:
    """Resolved gradients (tasks, parameters); ``scores[i, j]`` is that of task i against task j."""
    critical, main, weak = -0.8, -0.5, 0.0
    vectors = list(gradients.clone())
    for _ in range(2 * len(vectors)):
        pairs = [
            (float(torch.cosine_similarity(vectors[i], vectors[j], dim=0)), i, j)
            for i, j in itertools.combinations(range(len(vectors)), 2)
        ]
        cosine, i, j = min(pairs)
        if cosine >= weak:
            break
        if cosine <= critical:
            angle = math.pi
        elif cosine <= main:
            angle = math.pi / 2 + math.pi / 2 * ((cosine - main) / (critical - main)) ** 2
        else:
            angle = math.pi / 2 * (1 - (cosine - main) / (weak - main))
        w, l = (i, j) if scores[i, j] > scores[j, i] else (j, i)
        winner, loser = vectors[w], vectors[l]
        product = winner @ loser
        vectors[w] = winner - math.sin(angle) * product / (loser @ loser) * loser
        vectors[l] = loser - math.sin(min(angle, math.pi / 2)) * product / (winner @ winner) * winner
    return torch.stack(vectors)
