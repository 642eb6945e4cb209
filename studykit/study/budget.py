"""Time buys seeds: how many whole seeds of every arm fit before ``$STUDYKIT_UNTIL``; no more are begun.

A share of the time is kept for what comes after the trainings: scores, figures, the verdict; another is the
most that tuning may take, see :mod:`studykit.study.tuning_runs`. Before the first
training it is told what tuning and a seed will take, by steps timed here; later a seed is begun only if it
will end in time by the pace of the runs that are done by then. A study with fewer seeds than its profile has
concludes with those, and its rule says whether they are enough. Seeds are made in their order, so another
call goes on with the next ones; those that are done cost nothing. Where several runs share the machine, so
many seeds are begun together as keep it busy, and fewer once the time is short.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from studykit import home
from studykit.arms.arm import Arm
from studykit.runs.effort import seconds_a_step
from studykit.runs.run_table import TUNING
from studykit.runs.shares import sure_gain
from studykit.runs.store import FINAL, Run

CONCLUDE_SHARE = 0.2
"""Of the time that is left when the first study opens: for scores, figures and the verdict."""
TUNING_SHARE = 0.25
"""Of the time for trainings, that tuning may take."""
FEWEST = 2
"""Seeds without which nothing is concluded: one has no spread."""


class Buyer(Protocol):
    """Arms and their runs at some seeds, such as :class:`studykit.study.trials.Trials`."""

    seeds: tuple[int, ...]
    bought: bool
    nproc: int
    seen: dict[str, Run]
    whose: dict[str, tuple[str, int | str]]

    def at_once(self, todo: Sequence[Run]) -> int: ...
    def runs_of(self, arms: Iterable[Arm], seeds: Iterable[int]) -> list[Run]: ...
    def seconds_of(self, limited: "Budget", seeds: Sequence[int]) -> float: ...


class OutOfTime(KeyboardInterrupt):
    """The time is over before enough seeds are whole; what is done is kept, and another call goes on."""


class Budget:
    """The time that this process has for trainings.

    Attributes:
        minutes: of all that is done.
        end: when trainings have to be over, in seconds since 1970.
        tuning_left: seconds that tuning may still take.
        told: whether it was said what they buy.
    """

    def __init__(self, until: float) -> None:
        now = time.time()
        self.minutes = (until - now) / 60
        self.end = until - CONCLUDE_SHARE * max(0.0, until - now)
        self.tuning_left = TUNING_SHARE * max(0.0, self.end - now)
        self.told = False
        self._timed: dict[str, float] = {}

    @property
    def left(self) -> float:
        """Seconds until trainings have to be over."""
        return self.end - time.time()

    def seconds(self, runs: Iterable[Run], trials: Buyer) -> float:
        """What those runs that are not done will take: at the pace of one of their kind, or as timed here."""
        pace = {kind_of(run.config): own for run in trials.seen.values() if (own := pace_of(run))}
        at_pace, as_timed = 0.0, 0.0
        todo = [run for run in {run.key: run for run in runs}.values() if run.state not in FINAL]
        for run in todo:
            kind = kind_of(run.config)
            if kind not in pace and kind not in self._timed:
                self._timed[kind] = seconds_a_step(run.config, trials.nproc)
            steps = run.config["training"]["steps"]
            at_pace += steps * pace.get(kind, 0.0)
            as_timed += steps * (0.0 if kind in pace else self._timed[kind])
        at_once = trials.at_once(todo)
        return at_pace / at_once + as_timed / sure_gain(at_once)

    def tell(self, todo: Sequence[Run], trials: Buyer, live: Iterable[Buyer]) -> None:
        """Say once, before the first training, what it will take and how many seeds that buys."""
        if self.told:
            return
        self.told = True
        tuning = self.seconds([run for run in todo if trials.whose[run.key][1] == TUNING], trials)
        seeds = trials.seeds
        costs = [sum(own.seconds_of(self, seeds[: n + 1]) for own in live) for n in range(len(seeds))]
        fit = sum(tuning + cost <= self.left for cost in costs)
        print(
            f"{self.minutes:.1f} minutes, {max(self.left, 0) / 60:.1f} of them for training: tuning about "
            f"{tuning / 60:.1f}, all {len(seeds)} seeds about {costs[-1] / 60:.1f} by the pace timed here; "
            + ("they fit" if fit == len(seeds) else f"{fit} of {len(seeds)} seeds fit, the others do not"),
            flush=True,
        )


@cache
def budget() -> Budget | None:
    """The budget of this process; None where its time is not limited."""
    until = home.until()
    return None if until is None else Budget(until)


def buy_seeds(
    own: Budget,
    trials: Buyer,
    arms: Sequence[Arm],
    live: Sequence[Buyer],
    make: Callable[[list[Run]], object],
) -> None:
    """Make the seeds of some arms that end in time; from now on the study has no others.

    Studies that are open beside it at the same seeds, and have trained none yet, are reckoned with and get
    the same ones.

    Args:
        make: brings runs to their end.

    Raises:
        OutOfTime: fewer than two, and not all, are whole.
    """
    seeds = trials.seeds
    peers = [one for one in live if one is trials or (one.seeds == seeds and not one.bought)]
    together = _seeds_together(trials, arms)
    whole = 0
    while whole < len(seeds):
        needed = 0.0
        for end in range(min(whole + together, len(seeds)), whole, -1):
            runs = trials.runs_of(arms, seeds[whole:end])
            needed = sum(one.seconds_of(own, seeds[:end]) for one in peers)
            if needed <= max(own.left, 0) or all(run.state in FINAL for run in runs):
                break
        else:
            print(
                f"seed {seeds[whole]} is not begun: {needed / 60:.1f} minutes, {own.left / 60:.1f} are left",
                flush=True,
            )
            break
        make(runs)
        whole = end
    if whole < min(FEWEST, len(seeds)):
        raise OutOfTime(f"out of time: {whole} of {len(seeds)} seeds are whole; another call goes on")
    for one in peers:
        one.seeds, one.bought = seeds[:whole], True


def _seeds_together(trials: Buyer, arms: Sequence[Arm]) -> int:
    """Seeds whose runs keep all workers busy that the machine bears at once; 1 where it bears one."""
    todo = [run for run in trials.runs_of(arms, trials.seeds) if run.state not in FINAL]
    at_once = trials.at_once(todo)
    of_a_seed = len({run.key for run in trials.runs_of(arms, trials.seeds[:1])})
    return math.ceil(at_once / max(of_a_seed, 1))


def kind_of(config: Mapping[str, Any]) -> str:
    """Runs of one kind take equally long a step: same method, crops and batch."""
    training = {name: config["training"].get(name) for name in ("optimizer", "batch_size", "precision")}
    return repr((config["method"], config["data"]["crop_size"], training))


def pace_of(run: Run) -> float:
    """Seconds a step of a run that is done, all that came with it included; 0 where it says nothing.

    By its beginning and end where it was made at one go, else by its clock, which leaves out its start.
    """
    status = run.status
    if status is None or status.state != "done" or not len(run.metrics):
        return 0.0
    last = run.metrics.iloc[-1]
    seconds = float(last["seconds"])
    if status.attempts == 1:
        begun, ended = map(datetime.fromisoformat, (status.started, status.updated))
        seconds = max(seconds, (ended - begun).total_seconds())
    return seconds / max(float(last["step"]), 1.0)
