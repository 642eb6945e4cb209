"""A study: arms of one experiment, run over seeds, ending in estimates, verdicts and their evidence.

A notebook opens a study at a profile, names its arms, runs them, and concludes each claim. Arms share the
data order, the masks, the held-out crops and the number of steps; each is tuned over the same learning rates.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor, nn

from studykit import home
from studykit.arms import Arm, candidate_rates, rate_past_the_edge, training_of, tuned
from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim, claims_of_study, find_claim, load_papers
from studykit.claims.verdict import Verdict, judge
from studykit.data.cache import Prepared
from studykit.data.prepared import prepared_source
from studykit.data.sources import check_source_name
from studykit.data.splits import Split, split_subjects
from studykit.effort import (
    check_axis,
    cost_of,
    curve_of,
    operations_of_crop,
    operations_of_step,
    provenance_of,
    seconds_a_step,
)
from studykit.experiment import new_method, run_config, trained_method, work
from studykit.metrics.compute import Flops
from studykit.metrics.convergence import Curve
from studykit.profiles import Profile
from studykit.report.cost import Cost, total
from studykit.report.provenance import provenance
from studykit.report.record import Record, write_verdicts
from studykit.report.tables import write_table
from studykit.runs import Run, RunStore, derive_seed
from studykit.setups import profile_of, setup_of
from studykit.tasks.reconstruction import Recipe, held_out_crops, held_out_masks
from studykit.training.config import TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TUNING = "tuning"
FINAL = ("done", "diverged")

log = logging.getLogger(__name__)


def studies() -> tuple[str, ...]:
    """Names of all studies that a claim points to."""
    return tuple(dict.fromkeys(c.study for paper in load_papers().values() for c in paper.claims))


def open_study(
    name: str,
    profile: str = "smoke",
    seeds: Sequence[int] | None = None,
    *,
    data: str | None = None,
    spacing_mm: float | None = None,
    nproc: int = 1,
) -> "Study":
    """Open a study and check its settings. Its volumes are decoded when they are first asked for.

    Args:
        name: a study of the papers' claims.
        profile: ``smoke``, ``laptop``, ``gpu`` or ``paper``.
        seeds: repetitions, by default as many as the profile has.
        data: source of volumes, by default the study's own, see :mod:`studykit.setups`.
        spacing_mm: voxel size after resampling, by default the profile's.
        nproc: processes a training runs in, one for each GPU.

    Raises:
        ValueError: unknown study, profile or source (the message lists the known ones), seeds that repeat or
            are no whole numbers, processes that cannot share a batch, or the paper's sizes on sample volumes.
    """
    known = studies()
    if name not in known:
        raise ValueError(f"Unknown study {name!r}. Known: {', '.join(known)}.")
    setup = setup_of(name)
    sizes = profile_of(setup, profile)
    if spacing_mm is not None:
        sizes = replace(sizes, spacing_mm=spacing_mm)
    source = setup.source_at(sizes) if data is None else data
    check_source_name(source)
    if profile == "paper" and source.startswith("sample-"):
        raise ValueError(
            f"The paper profile crops {sizes.crop_size}³ voxels of {sizes.spacing_mm} mm: the sample volumes "
            "are too coarse for it. Give data='folder:PATH' with volumes of that resolution."
        )
    if nproc < 1 or sizes.batch_size % nproc:
        raise ValueError(f"nproc must be at least 1 and divide the batch of {sizes.batch_size}, got {nproc}.")
    checked = _checked_seeds(seeds, sizes.repetitions)
    if setup.labels:
        from studykit.transfer_study import TransferStudy

        return TransferStudy(name, sizes, checked, source, nproc)
    return Study(name, sizes, checked, source, nproc)


def _checked_seeds(seeds: Sequence[int] | None, repetitions: int) -> tuple[int, ...]:
    if seeds is None:
        return tuple(range(repetitions))
    whole = isinstance(seeds, Sequence) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be a list of distinct whole numbers, at least one; got {seeds!r}.")
    return tuple(seeds)


class Study:
    """See :func:`open_study`."""

    def __init__(self, name: str, profile: Profile, seeds: tuple[int, ...], source: str, nproc: int) -> None:
        self.name = name
        self.profile = profile
        self.seeds = seeds
        self.source = source
        self.nproc = nproc
        self.setup = setup_of(name)
        self.arms: dict[str, Arm] = {}
        own = source != self.setup.source_at(profile) or seeds != tuple(range(profile.repetitions))
        self.folder = home.evidence_dir(name, profile.name, own=own)
        self._store = RunStore(home.runs_dir())
        self._provenance = provenance()
        self._operations: dict[str, int] = {}
        self._runs: dict[str, Run] = {}
        self._figures: list[tuple[str, str]] = []
        self._tables: list[str] = []

    # ---- data

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source, prepared at the profile's spacing."""
        return prepared_source(self.source, self.profile.spacing_mm, self.setup.intensity)

    @cached_property
    def split(self) -> Split:
        """Subjects that train, that tune (``val``) and that are held out to the end (``test``)."""
        ids = sorted({volume.subject for volume in self.data.volumes})
        if len(ids) < 3:
            raise ValueError(
                f"{self.source} has {len(ids)} usable subject(s); a study needs at least 3: to train, to "
                "tune and to hold out."
            )
        hold_out = self.setup.hold_out if self.source == self.setup.source_at(self.profile) else ()
        split = split_subjects(ids, seed=derive_seed(self.name, "split"), val=1, test=0.3, hold_out=hold_out)
        split.save(self.folder / "split.json")
        return split

    def recipe(self, held_out: Sequence[str] | None = None) -> Recipe:
        """The data of a run, scored on ``held_out`` subjects (default: the test subjects)."""
        sizes = self.profile
        return Recipe(
            source=self.source,
            fingerprint=self.data.fingerprint,
            spacing_mm=sizes.spacing_mm,
            crop_size=sizes.crop_size,
            train=self.split.train,
            held_out=tuple(held_out or self.split.test),
            crops_per_subject=sizes.crops_per_subject,
            validation_seed=derive_seed(self.name, "validation") >> 1,
            intensity=self.setup.intensity,
            constant_background=self.setup.constant_background,
        )

    def held_out(self, method: nn.Module) -> tuple[Tensor, Tensor, list[str]]:
        """Fixed crops (N, 1, D, H, W), their fixed masks (N, d, h, w) and the subject of each."""
        crops, subjects = held_out_crops(self.data, self.recipe())
        return crops, held_out_masks(method, self.recipe(), len(crops)), subjects

    # ---- arms and runs

    def arm(
        self,
        name: str,
        method: str,
        *,
        training: Mapping[str, Any] | None = None,
        rate_scale: float = 1.0,
        tuned_by: Mapping[str, float] = MappingProxyType({"error": 1.0}),
        starts_as: str = "",
        **options: Any,
    ) -> Arm:
        """Name an arm, see :class:`studykit.arms.Arm`. Crop and patch sizes are the profile's, unless given.

        Raises:
            ValueError: unknown method, option or training setting; the message lists the known ones.
        """
        sizes = {"img_size": self.profile.crop_size, "patch_size": self.profile.patch_size}
        arm = Arm(name, method, sizes | options, dict(training or {}), rate_scale, dict(tuned_by), starts_as)
        return self._register(arm)

    def run(self, arm: Arm | str, seed: int | None = None) -> Run:
        """Train one repetition of an arm, resume it, or find it done; one that diverged is said so.

        Raises:
            ValueError: unknown arm; the message lists the known ones.
            KeyboardInterrupt: a signal stopped it; the same call goes on from its last checkpoint.
        """
        arm = self._arm(arm)
        seed = self.seeds[0] if seed is None else seed
        return self._execute(self._config(arm, seed), f"{self.name}: {arm.name}, seed {seed}")

    def run_all(self, arms: Iterable[Arm | str] | None = None) -> dict[str, list[Run]]:
        """Every seed of every arm, seed by seed, so that a study stopped early has whole pairs."""
        chosen = self._chosen(arms)
        runs: dict[str, list[Run]] = {arm.name: [] for arm in chosen}
        for seed in self.seeds:
            for arm in chosen:
                runs[arm.name].append(self.run(arm, seed))
        return runs

    def tune(self, arm: Arm | str) -> tuple[Arm, pd.DataFrame]:
        """Choose the arm's learning rate on the tuning subject, which neither trains nor is held out.

        Every arm gets the same candidates, the same number of steps and one seed of its own. Where the best
        is the largest or the smallest candidate, further ones are tried beyond it.

        Returns:
            the arm with its rate, and the final error of each candidate.
        """
        arm = self._arm(arm)
        best, table = tuned(arm, self._tuning_runs(arm, self._execute))
        self.arms[arm.name] = best
        return best, table

    def expect(self, arms: Iterable[Arm | str] | None = None) -> pd.DataFrame:
        """What the tuning and the runs still to do will take: steps, operations, minutes as timed here."""
        rows = []
        for arm in self._chosen(arms):
            trials = self._tuning_runs(arm, self._store.open)
            if all(run.state in FINAL for run in trials):
                arm, _ = tuned(arm, trials)
            own = [self._store.open(self._config(arm, seed), arm.name) for seed in self.seeds]
            todo = [run for run in trials + own if run.state not in FINAL]
            steps = sum(run.config["training"]["steps"] for run in todo)
            minutes = steps * seconds_a_step(todo[0].config, self.nproc) / 60 if todo else 0.0
            operations = self.operations_a_step(arm.name) / 1e9
            rows.append(
                {"arm": arm.name, "steps to do": steps, "GFLOP a step": operations, "minutes": minutes}
            )
        return pd.DataFrame(rows)

    def flops(self, arm: Arm | str, *, backward: bool = False) -> Flops:
        """Operations of one crop through an arm, forward or forward and backward."""
        return operations_of_crop(self._config(self._arm(arm), self.seeds[0]), backward=backward)

    def operations_a_step(self, arm: Arm | str) -> int:
        """Training operations of an optimizer step of an arm, with every backward pass that it takes."""
        return self._operations_a_step(self._config(self._arm(arm), self.seeds[0]))

    def curves(
        self,
        arm: Arm | str,
        runs: Iterable[Run],
        x: str = "steps",
        of: Mapping[str, float] = MappingProxyType({"error": 1.0}),
    ) -> list[Curve]:
        """Held-out error of each run of an arm against ``steps``, training ``flops`` or training ``seconds``.

        The error is the sum of recorded held-out values with their weights ``of``, such as ``{"brightness":
        0.3, "contrast": 0.2, "structure": 0.5}`` for an MVC loss; by default the mean squared error. A run
        that diverged keeps its last error up to the end of its budget: it does not get any better, and is not
        left out.

        Raises:
            ValueError: unknown axis; the message lists the known ones.
        """
        check_axis(x)
        operations = self.operations_a_step(arm)
        return [curve_of(run, x, operations, of) for run in runs]

    def untrained(self, arm: Arm | str) -> nn.Module:
        """The method of an arm as its first seed initialises it."""
        return new_method(self._config(self._arm(arm), self.seeds[0]))

    def method_of(self, run: Run) -> nn.Module:
        """The method with the weights of a run's last checkpoint, see :func:`trained_method`."""
        return trained_method(run)

    # ---- evidence

    def rest_on(self, other: "Study") -> None:
        """Take over the volumes, the split and the runs of a study whose trained networks this one looks at.

        Called once the other study has its runs: verdicts then state its data, its cost and its provenance.
        """
        self.source, self.data, self.split = other.source, other.data, other.split
        self._runs |= other._runs

    def save_figure(self, figure: "Figure", name: str, description: str) -> None:
        """Write a figure beside the verdicts as SVG and PNG; the description is its alt text."""
        from studykit.report.figures import save_figure

        save_figure(figure, self.folder, name)
        self._figures = [f for f in self._figures if f[0] != f"{name}.svg"] + [(f"{name}.svg", description)]

    def save_table(self, table: pd.DataFrame, name: str, caption: str) -> None:
        """Write a table beside the verdicts as CSV, Markdown and LaTeX."""
        write_table(table, self.folder, name, caption=caption)
        self._tables = [t for t in self._tables if t != f"{name}.csv"] + [f"{name}.csv"]

    def conclude(self, claim: Claim | str, estimate: Estimate | None) -> Verdict:
        """Judge a claim by its rule, and write the verdict with what it rests on.

        Raises:
            ValueError: the claim is unknown, or belongs to another study.
        """
        claim = find_claim(claim) if isinstance(claim, str) else claim
        if claim.study != self.name:
            own = ", ".join(c.key for c in claims_of_study(self.name))
            raise ValueError(f"{claim.key} belongs to {claim.study}; claims of {self.name}: {own}.")
        verdict = judge(claim, estimate, profile=self.profile.name)
        record = Record(
            verdict,
            self._provenance | {"runs": provenance_of(self._runs.values())},
            cost=self.cost(),
            data=self._data_in_words(),
            n_cases=len(self.split.test) if "split" in vars(self) else None,
            figures=tuple(self._figures),
            tables=tuple(self._tables),
            notebook=f"{claim.notebook}.ipynb",
        )
        write_verdicts(self.folder, self.name, self.profile.name, [record])
        return verdict

    def cost(self) -> Cost:
        """Core- or GPU-hours and operations of every run that this study looked at, tuning included."""
        return total(cost_of(run, self._operations_a_step(run.config)) for run in self._runs.values())

    def _data_in_words(self) -> str:
        if "split" not in vars(self):
            return ""
        source = f"folder:{Path(self.source).name}" if self.source.startswith("folder:") else self.source
        split = self.split
        return (
            f"{source} at {self.profile.spacing_mm:g} mm: {len(split.train)} training, {len(split.val)} "
            f"tuning, {len(split.test)} held-out subjects"
        )

    # ---- inside

    def _arm(self, arm: Arm | str) -> Arm:
        name = arm.name if isinstance(arm, Arm) else arm
        if name not in self.arms:
            raise ValueError(f"Unknown arm {name!r}. Known: {', '.join(self.arms) or 'none yet'}.")
        if isinstance(arm, Arm) and arm != self.arms[name]:
            raise ValueError(
                f"The arm {name!r} is not what it was when this one was made: it was tuned or named again. "
                f"Pass {name!r}, or what tune() or arm() gave back last."
            )
        return self.arms[name]

    def _register(self, arm: Arm) -> Arm:
        """Build an arm once, so that a wrong option shows before any work."""
        self._training_of(arm, tuning=False)
        new_method({"method": {"name": arm.method, "options": arm.options}, "seeds": {"init": 0}})
        self.arms[arm.name] = arm
        return arm

    def _chosen(self, arms: Iterable[Arm | str] | None) -> list[Arm]:
        return [self._arm(arm) for arm in (self.arms.values() if arms is None else arms)]

    def _config(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        tuning = repetition == TUNING
        return run_config(
            arm.method,
            arm.options,
            self._recipe_of(arm, tuning=tuning),
            self._training_of(arm, tuning=tuning),
            init_seed=derive_seed(self.name, arm.starts_as or arm.name, repetition),
            training_seed=derive_seed(self.name, "data order and masks", repetition),
            **self._start_of(arm, repetition),
        )

    def _recipe_of(self, arm: Arm, *, tuning: bool) -> Any:
        """The data that an arm trains on and is scored on while it does."""
        return self.recipe(self.split.val if tuning else None)

    def _training_of(self, arm: Arm, *, tuning: bool) -> TrainingConfig:
        return training_of(arm, self.profile, tuning=tuning)

    def _start_of(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        """Which run's weights an arm starts from, as :func:`run_config` takes it."""
        return {}

    def _tuning_runs(self, arm: Arm, get: Callable[[Mapping[str, Any], str], Run]) -> list[Run]:
        """An arm's tuning run at each learning rate, as ``get`` makes or finds it."""

        def trial(rate: float) -> Run:
            config = self._config(arm.at_rate(rate), TUNING)
            return get(config, f"{self.name}: {arm.name}, tuning at {rate:g}")

        rates = list(candidate_rates(arm, self.profile))
        runs = [trial(rate) for rate in rates]
        for _ in range(self.profile.tuning_extensions):
            if any(run.state not in FINAL for run in runs):
                break
            best, _ = tuned(arm, runs)
            further = rate_past_the_edge(rates, best.training["lr"])
            if further is None:
                break
            rates.append(further)
            runs.append(trial(further))
        return runs

    def _execute(self, config: Mapping[str, Any], label: str) -> Run:
        run = self._store.execute(config, label, lambda r: work(r, nproc=self.nproc, progress=label))
        self._runs[run.key] = run
        if run.state == "interrupted":
            raise KeyboardInterrupt(f"{label} was interrupted ({run.status.message}); run again to go on")
        if run.state == "diverged":
            log.warning("%s diverged: %s", label, run.status.message)
        return run

    def _operations_a_step(self, config: Mapping[str, Any]) -> int:
        """Training operations of an optimizer step, counted once for each method and optimizer."""
        training = {name: config["training"].get(name) for name in ("optimizer", "batch_size")}
        key = json.dumps([config["method"], config["data"]["crop_size"], training], sort_keys=True)
        if key not in self._operations:
            self._operations[key] = operations_of_step(config)
        return self._operations[key]
