"""Attentive probe: one learned query looks over frozen tokens of a sample, a linear layer tells its class.

Between a linear probe on the mean of the tokens, which misses what only a few of them hold, and fine-tuning
(Bardes et al. 2024, in its least form: one head, and tokens as they are for keys and values).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LR, WEIGHT_DECAY = 0.03, 0.01
LOOK_EVERY = 10
"""Steps between two looks at the validation."""


@dataclass(frozen=True)
class AttentiveScores:
    """What a probe says of the test side.

    Attributes:
        classes: those of the training side, ascending.
        scores: float32 (n_test, classes), probabilities.
        attention: float32 (n_test, T), where the query looks; sums to 1.
        step: whose weights validated best.
        validation_loss: cross-entropy there, classes balanced; ln(number of classes) is a guess.
    """

    classes: tuple[int, ...]
    scores: np.ndarray
    attention: np.ndarray
    step: int
    validation_loss: float


def attentive_probe(
    train_x: Tensor,
    train_y: "ArrayLike",
    test_x: Tensor,
    *,
    seed: int,
    subjects: "ArrayLike | None" = None,
    held_out: float = 0.25,
    steps: int = 400,
) -> AttentiveScores:
    """Train a query and a linear layer on the tokens of one side, and score the other.

    Tokens are standardised by mean and deviation of the training side, feature by feature. Some subjects of
    each class are held out of it, and the weights are those of the step that told them best. Classes weigh
    alike. All in float32 on the CPU; the seed decides who is held out and where the weights start.

    Args:
        train_x, test_x: (n, T, dim) tokens, the number of tokens need not be the same.
        train_y: (n,) whole numbers; a sample of a negative class is left out.
        seed: of the probe.
        subjects: (n,) whose each training sample is, by default each another one's; a subject has one class.
        held_out: share of the subjects of each class that validate, at least one.
        steps: of AdamW, each on all samples.

    Raises:
        ValueError: shapes that do not fit, fewer than two classes, a class with one subject only, or a
            subject with two classes.
    """
    x, y, who = _side(train_x, train_y, subjects)
    if test_x.ndim != 3 or test_x.shape[2] != x.shape[2]:
        raise ValueError(f"test tokens must be (n, T, {x.shape[2]}), got {tuple(test_x.shape)}")
    classes = tuple(int(c) for c in np.unique(y))
    generator = torch.Generator().manual_seed(seed)
    validates = _held_out(y, who, classes, held_out, generator)
    targets = torch.from_numpy(np.searchsorted(classes, y))
    fit, kept = (torch.from_numpy(np.flatnonzero(side)) for side in (~validates, validates))
    deviation, mean = torch.std_mean(x[fit], dim=(0, 1), correction=0)
    scale = torch.where(deviation > 0, 1 / deviation.clamp(min=1e-12), 0.0)
    own, own_targets, seen, seen_targets = (
        part for index in (fit, kept) for part in ((x[index] - mean) * scale, targets[index])
    )
    probe = _Probe(x.shape[2], len(classes), generator)
    best, step, kept_weights = np.inf, 0, probe.state_dict()
    optimizer = torch.optim.AdamW(probe.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    weights, seen_weights = (_balance(part, len(classes)) for part in (own_targets, seen_targets))
    for done in range(steps + 1):
        if done % LOOK_EVERY == 0 or done == steps:
            with torch.no_grad():
                loss = float(F.cross_entropy(probe(seen)[0], seen_targets, weight=seen_weights))
            if loss < best:
                best, step = loss, done
                kept_weights = {name: value.clone() for name, value in probe.state_dict().items()}
        if done < steps:
            optimizer.zero_grad()
            F.cross_entropy(probe(own)[0], own_targets, weight=weights).backward()
            optimizer.step()
    probe.load_state_dict(kept_weights)
    with torch.no_grad():
        logits, attention = probe((test_x.float().cpu() - mean) * scale)
    return AttentiveScores(classes, logits.softmax(dim=1).numpy(), attention.numpy(), step, best)


class _Probe(nn.Module):
    """Tokens (n, T, dim) to logits (n, classes) and attention (n, T); at its start it takes the mean."""

    def __init__(self, dim: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim))
        self.weight = nn.Parameter(torch.randn(classes, dim, generator=generator) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        attention = (tokens @ self.query / tokens.shape[2] ** 0.5).softmax(dim=1)
        return F.linear((attention[:, None] @ tokens)[:, 0], self.weight, self.bias), attention


def _balance(targets: Tensor, classes: int) -> Tensor:
    return 1 / targets.bincount(minlength=classes).clamp(min=1)


def _held_out(
    y: np.ndarray, who: np.ndarray, classes: tuple[int, ...], share: float, generator: torch.Generator
) -> np.ndarray:
    """Which samples validate: bool (n,), all of some subjects of each class."""
    if len(classes) < 2:
        raise ValueError(f"a probe needs two classes, got {list(classes)}")
    chosen = []
    for number in classes:
        own = np.unique(who[y == number])
        if len(own) < 2:
            raise ValueError(f"class {number} has one subject: it cannot both train and validate")
        if mixed := [subject for subject in own if (y[who == subject] != number).any()]:
            raise ValueError(f"subject {mixed[0]} has samples of two classes")
        order = torch.randperm(len(own), generator=generator).numpy()
        count = min(max(round(share * len(own)), 1), len(own) - 1)
        chosen.append(own[order[:count]])
    return np.isin(who, np.concatenate(chosen))


def _side(tokens: Tensor, y: Any, subjects: Any) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The samples that have a class."""
    classes = np.asarray(y)
    who = np.arange(len(tokens)) if subjects is None else np.asarray(subjects)
    count = tokens.shape[:1]
    if tokens.ndim != 3 or classes.shape != count or who.shape != count or classes.dtype.kind not in "iu":
        raise ValueError(
            "a probe needs tokens (n, T, dim), n whole numbers and n subjects, got shapes "
            f"{tuple(tokens.shape)}, {classes.shape} of {classes.dtype} and {who.shape}"
        )
    known = classes >= 0
    return tokens.float().cpu()[torch.from_numpy(known)], classes[known], who[known]
