"""The tuning of arms: a short run at each of their learning rates, of which limited time buys the first ones.

Where time is limited, tuning has a share of it, :data:`~studykit.study.budget.TUNING_SHARE`: rates are tried
in their order, the same number of every arm, as long as the next one fits. What an arm was tuned over stands
once seeds are trained at the rate it was given, so that another call goes on with them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from studykit.arms.arm import Arm
from studykit.arms.tuning import candidate_rates, rate_past_the_edge, tuned
from studykit.runs.run_table import TUNING
from studykit.runs.store import FINAL, Run
from studykit.study.budget import Budget, Buyer, OutOfTime
from studykit.study.ground import Ground

Make = Callable[[list[Run]], object]


class Tuned(Buyer, Protocol):
    """Arms on a ground, such as :class:`studykit.study.trials.Trials`."""

    ground: Ground
    study: str

    def planned(self, arm: Arm, repetition: int | str, label: str) -> Run: ...


def unfinished(runs: Iterable[Run]) -> list[Run]:
    """Those that have not come to their end, each once."""
    return [run for run in {run.key: run for run in runs}.values() if run.state not in FINAL]


def tuning_runs(trials: Tuned, arm: Arm) -> list[Run]:
    """An arm's tuning run at each learning rate, as far as those that are done say which come next."""

    def trial(rate: float) -> Run:
        label = f"{trials.study}: {arm.name}, tuning at {rate:g}"
        return trials.planned(arm.at_rate(rate), TUNING, label)

    sizes = trials.ground.profile
    rates = list(candidate_rates(arm, sizes))
    runs = [trial(rate) for rate in rates]
    for _ in range(sizes.tuning_extensions):
        if unfinished(runs):
            break
        best, _ = tuned(arm, runs)
        further = rate_past_the_edge(rates, best.training["lr"])
        if further is None:
            break
        rates.append(further)
        runs.append(trial(further))
    return runs


def make_all(trials: Tuned, arms: Sequence[Arm], first: Sequence[Run], make: Make) -> dict[str, list[Run]]:
    """Make every tuning run of some arms, after those ``first`` that they start from; gives them by arm."""
    while True:
        runs = {arm.name: tuning_runs(trials, arm) for arm in arms}
        todo = unfinished([*first, *(run for own in runs.values() for run in own)])
        if not todo:
            return runs
        make(todo)


def make_affordable(
    trials: Tuned,
    arms: Sequence[Arm],
    first: Sequence[Run],
    make: Make,
    own: Budget,
    tell: Callable[[list[Run]], object],
) -> dict[str, list[Run]]:
    """As :func:`make_all`, of the rates that fit into the share of the time that tuning has, rate by rate.

    Args:
        tell: told once, before the first run, all that are to be made.

    Raises:
        OutOfTime: not even one rate of every arm fits.
    """
    while True:
        kept = _affordable(trials, {arm.name: _tried(trials, arm) for arm in arms}, first, own)
        if not (todo := unfinished([*first, *(run for tried in kept.values() for run in tried)])):
            break
        tell(todo)
        if before := unfinished(first):
            make(before)
            continue
        begun = time.time()
        make([run for tried in kept.values() for run in tried[: _due(kept)]])
        own.tuning_left -= time.time() - begun
    for arm in arms:
        if (count := len(kept[arm.name])) < len(tuning_runs(trials, arm)):
            words = "a further one did not fit into the time that tuning has"
            print(f"{arm.name}: tuned at {count} of its learning rates; {words}", flush=True)
    return kept


def _tried(trials: Tuned, arm: Arm) -> list[Run]:
    """Tuning runs of an arm; those that are done alone, once a seed was begun at the best of them."""
    runs = tuning_runs(trials, arm)
    done = [run for run in runs if run.state in FINAL]
    if 0 < len(done) < len(runs):
        [*_, seed] = trials.runs_of([tuned(arm, done)[0]], trials.seeds[:1])
        return done if seed.state is not None else runs
    return runs


def _affordable(
    trials: Tuned, runs: dict[str, list[Run]], first: Sequence[Run], own: Budget
) -> dict[str, list[Run]]:
    """Of each arm the same number of first runs, the most that fit, and what is done besides."""
    needed = 0.0
    for count in range(max(map(len, runs.values()), default=0), 0, -1):
        kept = {
            name: [run for place, run in enumerate(tried) if place < count or run.state in FINAL]
            for name, tried in runs.items()
        }
        tuning = [run for tried in kept.values() for run in tried]
        needed = own.seconds(tuning, trials)
        if needed <= max(own.tuning_left, 0) and own.seconds([*first, *tuning], trials) <= max(own.left, 0):
            return kept
    if not runs:
        return {}
    left = max(min(own.tuning_left, own.left), 0)
    raise OutOfTime(
        f"out of time: one learning rate of {len(runs)} arms takes {needed / 60:.1f} minutes, "
        f"{left / 60:.1f} are left for tuning: give it more minutes"
    )


def _due(kept: dict[str, list[Run]]) -> int:
    """How many of the first runs of every arm are due next: one more than are done of all."""
    return 1 + min(
        place for tried in kept.values() for place, run in enumerate(tried) if run.state not in FINAL
    )
