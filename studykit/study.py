"""A study: arms of one experiment, run over seeds, ending in estimates, verdicts and their evidence.

A notebook opens a study at a profile, names its arms, runs them, and concludes each claim. Arms share the
data order, the masks, the held-out crops and the number of steps; each is tuned over the same learning rates.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn

from studykit import home
from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim, claims_of_study, find_claim, load_papers
from studykit.claims.verdict import Verdict, judge
from studykit.data.cache import Prepared
from studykit.data.sources import check_source_name
from studykit.data.splits import Split, split_subjects
from studykit.experiment import (
    DataRecipe,
    held_out_crops,
    held_out_masks,
    new_method,
    prepared_source,
    run_config,
    trained_method,
    work,
)
from studykit.metrics.compute import Flops, count_flops
from studykit.metrics.convergence import Curve
from studykit.profiles import Profile, pretraining_profile
from studykit.report.cost import Cost, total
from studykit.report.provenance import provenance
from studykit.report.record import Record, write_verdicts
from studykit.report.tables import write_table
from studykit.runs import Run, RunStore, derive_seed
from studykit.training.config import TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TUNING = "tuning"
DEFAULT_SOURCE = "sample-heads"


@dataclass(frozen=True)
class Arm:
    """One method with its settings: what a study compares.

    Attributes:
        name: for people, and for the seeds.
        method: name for :func:`studykit.methods.build_method`.
        options: of the method, sizes of the model and its loss among them.
        training: changes to the study's training settings, the learning rate among them.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def studies() -> tuple[str, ...]:
    """Names of all studies that a claim points to."""
    return tuple(dict.fromkeys(c.study for paper in load_papers().values() for c in paper.claims))


def open_study(
    name: str,
    profile: str = "smoke",
    seeds: Sequence[int] | None = None,
    *,
    data: str | None = None,
    nproc: int = 1,
) -> "Study":
    """Open a study and check its settings. Its volumes are decoded when they are first asked for.

    Args:
        name: a study of the papers' claims.
        profile: ``smoke``, ``laptop``, ``gpu`` or ``paper``.
        seeds: repetitions, by default as many as the profile has.
        data: source of volumes, by default the sample heads.
        nproc: processes a training runs in, one for each GPU.

    Raises:
        ValueError: unknown study, profile or source (the message lists the known ones), seeds that repeat,
            or the paper's sizes on sample volumes.
    """
    known = studies()
    if name not in known:
        raise ValueError(f"Unknown study {name!r}. Known: {', '.join(known)}.")
    sizes = pretraining_profile(profile)
    chosen = tuple(range(sizes.repetitions)) if seeds is None else tuple(int(seed) for seed in seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"seeds must be distinct and at least one, got {list(chosen)}.")
    if nproc < 1:
        raise ValueError(f"nproc must be at least 1, got {nproc}.")
    if profile == "paper" and data in (None, DEFAULT_SOURCE):
        raise ValueError(
            f"The paper profile crops {sizes.crop_size}³ voxels of {sizes.spacing_mm} mm: the sample heads "
            "are too coarse for it. Give data='folder:PATH' with volumes of that resolution."
        )
    check_source_name(data or DEFAULT_SOURCE)
    return Study(name, sizes, chosen, data or DEFAULT_SOURCE, nproc)


class Study:
    """See :func:`open_study`."""

    def __init__(self, name: str, profile: Profile, seeds: tuple[int, ...], source: str, nproc: int) -> None:
        self.name = name
        self.profile = profile
        self.seeds = seeds
        self.source = source
        self.nproc = nproc
        self.arms: dict[str, Arm] = {}
        self.folder = home.results_dir() / name / profile.name
        self._store = RunStore(home.runs_dir())
        self._provenance = provenance()
        self._runs: dict[str, Run] = {}
        self._figures: list[tuple[str, str]] = []
        self._tables: list[str] = []

    # ---- data

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source, prepared at the profile's spacing."""
        return prepared_source(self.source, self.profile.spacing_mm)

    @cached_property
    def split(self) -> Split:
        """Subjects that train, that tune (``val``) and that are held out to the end (``test``)."""
        ids = sorted({volume.subject for volume in self.data.volumes})
        if len(ids) < 3:
            raise ValueError(
                f"{self.source} has {len(ids)} usable subject(s); a study needs at least 3: to train, to "
                "tune and to hold out."
            )
        split = split_subjects(ids, seed=derive_seed(self.name, "split"), val=1, test=0.3)
        split.save(self.folder / "split.json")
        return split

    def recipe(self, held_out: Sequence[str] | None = None) -> DataRecipe:
        """The data of a run, scored on ``held_out`` subjects (default: the test subjects)."""
        sizes = self.profile
        return DataRecipe(
            source=self.source,
            fingerprint=self.data.fingerprint,
            spacing_mm=sizes.spacing_mm,
            crop_size=sizes.crop_size,
            train=self.split.train,
            held_out=tuple(held_out or self.split.test),
            crops_per_subject=sizes.crops_per_subject,
            validation_seed=derive_seed(self.name, "validation") >> 1,
        )

    def held_out(self, method: nn.Module) -> tuple[Tensor, Tensor, list[str]]:
        """Fixed crops (N, 1, D, H, W), their fixed masks (N, d, h, w) and the subject of each."""
        crops, subjects = held_out_crops(self.data, self.recipe())
        return crops, held_out_masks(method, self.recipe(), len(crops)), subjects

    # ---- arms and runs

    def arm(
        self, name: str, method: str, *, training: Mapping[str, Any] | None = None, **options: Any
    ) -> Arm:
        """Name an arm. The crop and patch sizes are the profile's, the same for every arm, unless given.

        Raises:
            ValueError: unknown method or option; the message lists the known ones.
        """
        sizes = {"img_size": self.profile.crop_size, "patch_size": self.profile.patch_size}
        arm = Arm(name, method, sizes | options, dict(training or {}))
        new_method(self._config(arm, self.seeds[0]))
        self.arms[name] = arm
        return arm

    def run(self, arm: Arm | str, seed: int | None = None) -> Run:
        """Train one repetition of an arm, resume it, or find it done.

        Raises:
            ValueError: unknown arm; the message lists the known ones.
        """
        arm = self._arm(arm)
        seed = self.seeds[0] if seed is None else seed
        return self._execute(self._config(arm, seed), f"{self.name}: {arm.name}, seed {seed}")

    def run_all(self, arms: Iterable[Arm | str] | None = None) -> dict[str, list[Run]]:
        """Every seed of every arm, seed by seed, so that a study stopped early has whole pairs."""
        chosen = [self._arm(arm) for arm in (self.arms.values() if arms is None else arms)]
        runs: dict[str, list[Run]] = {arm.name: [] for arm in chosen}
        for seed in self.seeds:
            for arm in chosen:
                runs[arm.name].append(self.run(arm, seed))
        return runs

    def tune(self, arm: Arm | str) -> tuple[Arm, pd.DataFrame]:
        """Choose the arm's learning rate on the tuning subject, which neither trains nor is held out.

        Every arm gets the same candidates, the same number of steps and one seed of its own.

        Returns:
            the arm with its rate, and the final error of each candidate.
        """
        arm = self._arm(arm)
        rows = []
        for rate in self.profile.learning_rates:
            candidate = replace(arm, training={**arm.training, "lr": rate})
            run = self._execute(
                self._config(candidate, TUNING), f"{self.name}: {arm.name}, tuning at {rate:g}"
            )
            last = run.metrics["val/error"].iloc[-1] if run.state == "done" else float("inf")
            rows.append({"arm": arm.name, "learning rate": rate, "error": last, "state": run.state})
        table = pd.DataFrame(rows)
        best = float(table.loc[table["error"].idxmin(), "learning rate"])
        tuned = replace(arm, training={**arm.training, "lr": best})
        self.arms[arm.name] = tuned
        return tuned, table

    def expect(self, arms: Iterable[Arm | str] | None = None) -> pd.DataFrame:
        """What the tuning and the runs still to do will take: steps, operations, minutes as timed here."""
        rows = []
        for arm in [self._arm(a) for a in (self.arms.values() if arms is None else arms)]:
            todo = [self._config(arm, seed) for seed in self.seeds]
            todo += [
                self._config(replace(arm, training={**arm.training, "lr": rate}), TUNING)
                for rate in self.profile.learning_rates
            ]
            steps = sum(c["training"]["steps"] for c in todo if self._store.open(c, arm.name).state != "done")
            flops = self.flops(arm, backward=True).total * self.profile.batch_size
            minutes = steps * self._seconds_a_step(arm) / 60 if steps else 0.0
            rows.append(
                {"arm": arm.name, "steps to do": steps, "GFLOP a step": flops / 1e9, "minutes": minutes}
            )
        return pd.DataFrame(rows)

    def flops(self, arm: Arm | str, *, backward: bool = False) -> Flops:
        """Operations of one crop through an arm, forward or forward and backward."""
        arm = self._arm(arm)
        method = self.untrained(arm)
        mask = method.draw_masks(1, torch.Generator().manual_seed(0))
        shape = (1, 1, *(self.profile.crop_size,) * 3)
        return count_flops(method, shape, backward=backward, mask=mask)

    def curves(self, arm: Arm | str, runs: Iterable[Run], x: str = "steps") -> list[Curve]:
        """Held-out error of each run against ``steps``, training ``flops`` or training ``seconds``.

        Raises:
            ValueError: unknown axis; the message lists the known ones.
        """
        scale: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
            "steps": lambda m: m["step"].astype(float),
            "flops": lambda m: m["step"] * float(self._flops_a_step(arm)),
            "seconds": lambda m: m["seconds"],
        }
        if x not in scale:
            raise ValueError(f"Unknown axis {x!r}. Known: {', '.join(scale)}.")
        return [Curve(scale[x](m).to_numpy(), m["val/error"].to_numpy()) for m in (r.metrics for r in runs)]

    def untrained(self, arm: Arm | str) -> nn.Module:
        """The method of an arm as its first seed initialises it."""
        return new_method(self._config(self._arm(arm), self.seeds[0]))

    def method_of(self, run: Run) -> nn.Module:
        """The trained method of a run."""
        return trained_method(run)

    # ---- evidence

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
            self._provenance,
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
        device = "cuda" if torch.cuda.is_available() else "cpu"
        count = self.nproc if device == "cuda" else torch.get_num_threads()
        costs = []
        for run in self._runs.values():
            last = run.metrics.iloc[-1]
            costs.append(
                Cost.of_run(float(last["seconds"]), device, count, last["step"] * self._run_flops(run))
            )
        return total(costs)

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
        if isinstance(arm, Arm):
            return self.arms.get(arm.name, arm)
        if arm not in self.arms:
            raise ValueError(f"Unknown arm {arm!r}. Known: {', '.join(self.arms) or 'none yet'}.")
        return self.arms[arm]

    def _config(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        sizes, tuning = self.profile, repetition == TUNING
        steps = sizes.tuning_steps if tuning else sizes.steps
        settings: dict[str, Any] = {
            "steps": steps,
            "batch_size": sizes.batch_size,
            "lr": sizes.learning_rates[0],
            "warmup_steps": min(sizes.warmup_steps, steps - 1),
            "clip_norm": 1.0,
            "eval_every": min(sizes.eval_every, steps),
            "checkpoint_every": sizes.checkpoint_every,
            "precision": sizes.precision,
            "compile": sizes.compile,
        }
        return run_config(
            arm.method,
            arm.options,
            self.recipe(self.split.val if tuning else None),
            TrainingConfig.from_dict(settings | dict(arm.training)),
            init_seed=derive_seed(self.name, arm.name, repetition),
            training_seed=derive_seed(self.name, "data order and masks", repetition),
        )

    def _execute(self, config: Mapping[str, Any], label: str) -> Run:
        run = self._store.execute(config, label, lambda r: work(r, nproc=self.nproc, progress=label))
        self._runs[run.key] = run
        if run.state == "interrupted":
            raise KeyboardInterrupt(f"{label} was interrupted ({run.status.message}); run again to go on")
        return run

    def _flops_a_step(self, arm: Arm | str) -> int:
        return self.flops(arm, backward=True).total * self.profile.batch_size

    def _run_flops(self, run: Run) -> int:
        for arm in self.arms.values():
            if (
                arm.method == run.config["method"]["name"]
                and dict(arm.options) == run.config["method"]["options"]
            ):
                return self._flops_a_step(arm)
        return 0

    def _seconds_a_step(self, arm: Arm) -> float:
        """Time of the second of two steps, as training takes them."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        method = self.untrained(arm).to(device)
        crops = torch.zeros(self.profile.batch_size, 1, *(self.profile.crop_size,) * 3, device=device)
        for _ in range(2):
            start = time.perf_counter()
            sum(method.loss_terms(crops, torch.Generator().manual_seed(0)).values()).backward()
            if device == "cuda":
                torch.cuda.synchronize()
        return time.perf_counter() - start
