"""The trials of a study: its arms, their configurations and runs, their tuning, and what all of it costs."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import pandas as pd

from studykit import home
from studykit.arms.arm import Arm
from studykit.arms.tuning import tuned
from studykit.metrics.compute import Flops
from studykit.runs.cost import Cost, total
from studykit.runs.effort import (
    cost_of,
    operations_of_crop,
    operations_of_step,
    provenance_of,
    seconds_a_step,
)
from studykit.runs.outlook import LookingAhead
from studykit.runs.plan import DryRun, needs, write_plan
from studykit.runs.run_table import TUNING, rows_of
from studykit.runs.shares import most_workers, sure_gain
from studykit.runs.side_by_side import small_ones, work_side_by_side, workers_that_pay
from studykit.runs.store import Run, RunStore, derive_seed
from studykit.runs.training_run import run_config, work
from studykit.runs.weights import new_method
from studykit.study.budget import Budget, budget, buy_seeds
from studykit.study.ground import Ground
from studykit.study.tuning_runs import make_affordable, make_all, tuning_runs, unfinished

LIVE: "WeakSet[Trials]" = WeakSet()
"""Those of every study that is open in this process, for the plan of a dry run."""

log = logging.getLogger(__name__)


class Trials:
    """Arms on a ground, by name, and the runs of each seed of them.

    Attributes:
        ground: what they train on.
        seeds: repetitions of each arm.
        nproc: processes a training runs in.
        store: where the runs lie.
        arms: those named so far, as they were named or tuned last.
        seen: runs that were made or found, by key: what a verdict rests on.
        whose: arm and repetition of runs, by key, of all that were planned here.
        bought: whether the seeds are those that limited time has bought.
    """

    def __init__(self, ground: Ground, seeds: tuple[int, ...], nproc: int, store: RunStore) -> None:
        self.ground = ground
        self.seeds = seeds
        self.nproc = nproc
        self.store = store
        self.arms: dict[str, Arm] = {}
        self.seen: dict[str, Run] = {}
        self.whose: dict[str, tuple[str, int | str]] = {}
        self.bought = False
        self._operations: dict[str, int] = {}
        self._pace = 0.0
        LIVE.add(self)

    @property
    def study(self) -> str:
        """Name of the study, which seeds its runs."""
        return self.ground.study

    # ---- arms

    def register(self, arm: Arm) -> Arm:
        """Take an arm in; it is built once, so that a wrong option shows before any work."""
        if arm.starts_from:
            self.ground.refuse_start(self.find(arm.starts_from))
        self.ground.training_of(arm, tuning=False)
        new_method({"method": {"name": arm.method, "options": arm.options}, "seeds": {"init": 0}})
        self.arms[arm.name] = arm
        return arm

    def find(self, arm: Arm | str) -> Arm:
        """The arm as it stands.

        Raises:
            ValueError: unknown (the message lists the known ones), or not what it was.
        """
        name = arm.name if isinstance(arm, Arm) else arm
        if name not in self.arms:
            raise ValueError(f"Unknown arm {name!r}. Known: {', '.join(self.arms) or 'none yet'}.")
        if isinstance(arm, Arm) and arm != self.arms[name]:
            raise ValueError(
                f"The arm {name!r} is not what it was when this one was made: it was tuned or named again. "
                f"Pass {name!r}, or what tune() or arm() gave back last."
            )
        return self.arms[name]

    def chosen(self, arms: Iterable[Arm | str] | None) -> list[Arm]:
        """The arms asked for, or all of them."""
        return [self.find(arm) for arm in (self.arms.values() if arms is None else arms)]

    def config(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        """Configuration of a repetition of an arm, or of its tuning at the arm's rate (``TUNING``)."""
        tuning = repetition == TUNING
        return run_config(
            arm.method,
            arm.options,
            self.ground.recipe_of(arm, tuning=tuning),
            self.ground.training_of(arm, tuning=tuning),
            init_seed=derive_seed(self.study, arm.starts_as or arm.name, repetition),
            training_seed=derive_seed(self.study, "data order and masks", repetition),
            **self._start_of(arm, repetition),
        )

    def _start_of(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        """Whose weights an arm starts from; a tuning run starts from the first seed's."""
        if not arm.starts_from:
            return {}
        seed = self.seeds[0] if repetition == TUNING else repetition
        first = self.config(self.find(arm.starts_from), seed)
        return {"starts_from": self.store.open(first, arm.starts_from).key, "parts": arm.parts}

    # ---- runs

    def run(self, arm: Arm | str, seed: int | None = None) -> Run:
        """Train one repetition, resume it or find it done; the training that it starts from comes first."""
        return self._make(self._chain(self.find(arm), self.seeds[0] if seed is None else seed))[-1]

    def run_all(
        self, arms: Iterable[Arm | str] | None = None, seeds: Sequence[int] | None = None
    ) -> dict[str, list[Run]]:
        """Every seed of every arm, seed by seed, so that a study stopped early has whole pairs.

        Where time is limited, those that end in time, see :mod:`studykit.study.budget`.
        """
        chosen, limited = self.chosen(arms), budget()
        if limited and seeds is None and not self.bought and not home.dry_run():
            buy_seeds(limited, self, chosen, list(LIVE), self._make)
        seeds = self.seeds if seeds is None else seeds
        self._make(self.runs_of(chosen, seeds))
        return {arm.name: [self.run(arm, seed) for seed in seeds] for arm in chosen}

    def runs_of(self, arms: Iterable[Arm], seeds: Iterable[int]) -> list[Run]:
        """Runs of some seeds of some arms, seed by seed, each after those that it starts from."""
        arms = list(arms)
        return [run for seed in seeds for arm in arms for run in self._chain(arm, seed)]

    def seconds_of(self, limited: Budget, seeds: Sequence[int]) -> float:
        """What is still to do of some seeds of all arms takes."""
        return limited.seconds(self.runs_of(self.arms.values(), seeds), self)

    def tune_all(self, arms: Iterable[Arm | str]) -> list[tuple[Arm, pd.DataFrame]]:
        """Each arm at its best rate, which it has from now on, and the error at each rate tried."""
        chosen = self.chosen(arms)
        first = [run for arm in chosen if arm.starts_from for run in self._chain(arm, self.seeds[0])[:-1]]
        if (limited := budget()) and not home.dry_run():
            live = list(LIVE)
            runs = make_affordable(
                self, chosen, first, self._make, limited, lambda todo: limited.tell(todo, self, live)
            )
        else:
            runs = make_all(self, chosen, first, self._make)
        best = [tuned(arm, self._make(runs[arm.name])) for arm in chosen]
        self._make(first)
        self.arms |= {arm.name: arm for arm, _ in best}
        return best

    def _run_of(self, arm: Arm, seed: int) -> Run:
        """A repetition of an arm, as the store has it or would."""
        return self.planned(arm, seed, f"{self.study}: {arm.name}, seed {seed}")

    def planned(self, arm: Arm, repetition: int | str, label: str) -> Run:
        """A run that is kept in mind as that repetition of its arm."""
        run = self.store.open(self.config(arm, repetition), label)
        self.whose[run.key] = arm.name, repetition
        return run

    def _chain(self, arm: Arm, seed: int) -> list[Run]:
        """A repetition of an arm, and before it the trainings that it starts from."""
        before = self._chain(self.find(arm.starts_from), seed) if arm.starts_from else []
        return [*before, self._run_of(arm, seed)]

    def _make(self, runs: list[Run]) -> list[Run]:
        """Bring runs to their end, side by side where that is quicker, or find that they are there."""
        todo = unfinished(runs)
        if todo and home.dry_run():
            for trials in sorted(LIVE, key=lambda one: one.study):
                write_plan(trials.plan())
            raise DryRun("nothing was trained: this is a dry run")
        if todo and (limited := budget()):
            limited.tell(todo, self, list(LIVE))
        if not todo:
            return [self._execute(run) for run in runs]
        with self._looking_ahead(todo) as ahead:
            if self.at_once(todo) > 1:
                work_side_by_side(small_ones(todo), most_workers())
            made = [self._execute(run) for run in runs]
            self._pace = ahead.pace_now(self.store.root)
            return made

    def _looking_ahead(self, todo: Sequence[Run]) -> LookingAhead:
        """While runs are made, whoever watches can read how long all that is still to train will take."""
        root = self.store.root
        arms = [(one, arm) for one in LIVE if one.store.root == root for arm in one.arms.values()]
        ahead = [*todo, *(run for one, arm in arms for run in unfinished(one._all_runs(arm)))]
        operations = {run.key: self._operations_of(run.config) for run in ahead}
        return LookingAhead(self.study, ahead, operations, self._pace)

    def at_once(self, todo: Sequence[Run]) -> int:
        """How many of the small ones among these runs are made at a time, see :func:`workers_that_pay`."""
        if self.nproc > 1 or len(todo) < 2:
            return 1
        todo = small_ones(todo)
        operations = [self._operations_of(run.config) * run.config["training"]["steps"] for run in todo]
        return workers_that_pay(todo, operations)

    def _execute(self, planned: Run) -> Run:
        run = self.store.execute(
            planned.config, planned.label, lambda r: work(r, nproc=self.nproc, show=True)
        )
        self.seen[run.key] = run
        if run.state == "interrupted":
            raise KeyboardInterrupt(f"{run.label} was interrupted ({run.status.message}); run again to go on")
        if run.state in ("diverged", "collapsed"):
            log.warning("%s %s: %s", run.label, run.state, run.status.message)
        return run

    # ---- what it takes, and what it took

    def expect(self, arms: Iterable[Arm | str] | None = None) -> pd.DataFrame:
        """What the tuning and the runs still to do will take: steps, operations, minutes as timed here."""
        todo = {arm.name: unfinished(self._all_runs(arm)) for arm in self.chosen(arms)}
        at_once = self.at_once([run for own in todo.values() for run in own])
        rows = []
        for name, own in todo.items():
            steps = sum(run.config["training"]["steps"] for run in own)
            minutes = steps * seconds_a_step(own[0].config, self.nproc) / 60 if own else 0.0
            minutes /= sure_gain(at_once) if small_ones(own) else 1
            operations = self.operations_a_step(name) / 1e9
            rows.append({"arm": name, "steps to do": steps, "GFLOP a step": operations, "minutes": minutes})
        return pd.DataFrame(rows)

    def plan(self) -> list[dict[str, Any]]:
        """As :meth:`expect`, with the study's name, memory and disk, of the arms with something to do."""
        rows = []
        for row in self.expect().to_dict("records"):
            todo = unfinished(self._all_runs(self.find(row["arm"])))
            if todo:
                of_all = sum(needs(run)["disk (MB)"] for run in todo)
                largest = needs(todo[-1])["memory (MB)"]
                rows.append({"study": self.study, **row, "memory (MB)": largest, "disk (MB)": of_all})
        return rows

    def _all_runs(self, arm: Arm) -> list[Run]:
        """The tuning of an arm and its repetitions, those at the best rate once that is known."""
        trials = tuning_runs(self, arm)
        if not unfinished(trials):
            arm, _ = tuned(arm, trials)
        return trials + [self._run_of(arm, seed) for seed in self.seeds]

    def flops(self, arm: Arm | str, *, backward: bool) -> Flops:
        """Operations of one crop through an arm, forward or forward and backward."""
        return operations_of_crop(self.config(self.find(arm), self.seeds[0]), backward=backward)

    def operations_a_step(self, arm: Arm | str) -> int:
        """Training operations of an optimizer step of an arm, with every backward pass that it takes."""
        return self._operations_of(self.config(self.find(arm), self.seeds[0]))

    def cost(self) -> Cost:
        """Core- or GPU-hours and operations of every run that was looked at, tuning included."""
        return total(cost_of(run, self._operations_of(run.config)) for run in self.seen.values())

    def provenance(self) -> list[dict[str, Any]]:
        """Code and hardware that those runs were made with, and how many with each."""
        return provenance_of(self.seen.values())

    def rest_on(self, other: "Trials") -> None:
        """Take over the runs that another study made or found."""
        self.seen |= other.seen
        self.whose |= other.whose

    def rows(self) -> Iterator[dict[str, str]]:
        """Every run that was looked at, as rows of a run table."""
        for key, run in self.seen.items():
            yield from rows_of(run, *self.whose[key], self._operations_of(run.config))

    def _operations_of(self, config: Mapping[str, Any]) -> int:
        """Training operations of an optimizer step, counted once for each method and optimizer."""
        training = {name: config["training"].get(name) for name in ("optimizer", "batch_size")}
        key = json.dumps([config["method"], config["data"]["crop_size"], training], sort_keys=True)
        if key not in self._operations:
            self._operations[key] = operations_of_step(config)
        return self._operations[key]
