"""A study as a notebook sees it: arms of one experiment, run over seeds, ending in verdicts.

A notebook opens a study at a profile, names its arms, runs them, and concludes each claim. Arms share the
data order, the masks, the held-out crops and the number of steps; each is tuned over the same learning rates.

    ground ──► trials ──► evidence        volumes and split; arms and their runs; figures, tables, verdicts
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import cuda, nn

from studykit import home
from studykit.arms.arm import Arm
from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim
from studykit.claims.verdict import Verdict
from studykit.data.labelled import Labelled
from studykit.metrics.compute import Flops
from studykit.metrics.convergence import Curve
from studykit.runs.cost import Cost
from studykit.runs.effort import check_axis, curve_of
from studykit.runs.store import Run, RunStore
from studykit.runs.training_run import TRANSFER
from studykit.runs.weights import new_method, trained_method
from studykit.study import scores
from studykit.study.evidence import EvidenceFolder
from studykit.study.ground import Ground
from studykit.study.labelled_ground import LabelledGround
from studykit.study.trials import Trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Study:
    """A ground, trials on it and an evidence folder, see :func:`open_study`.

    Attributes:
        ground: volumes, split and recipe.
        trials: arms and their runs.
        evidence: figures, tables and verdicts.
        nproc: processes a training runs in.
    """

    def __init__(self, ground: Ground, seeds: tuple[int, ...], nproc: int) -> None:
        self.ground = ground
        self.nproc = nproc
        self.trials = Trials(ground, seeds, nproc, RunStore(home.runs_dir()))
        self.evidence = EvidenceFolder(ground.study, ground.profile.name, ground.folder)

    name = property(attrgetter("ground.study"), doc="Name of the study.")
    profile = property(attrgetter("ground.profile"), doc="Its sizes.")
    seeds = property(attrgetter("trials.seeds"), doc="Repetitions of each arm; fewer once time was short.")
    setup = property(attrgetter("ground.setup"), doc="What it differs in from other studies.")
    source = property(attrgetter("ground.source"), doc="Name of the source of its volumes.")
    data = property(attrgetter("ground.data"), doc="All its volumes, prepared at the profile's spacing.")
    split = property(attrgetter("ground.split"), doc="Who trains, who tunes (``val``), who is held out.")
    labelled = property(attrgetter("labels.labelled"), doc="Its volumes with label maps, and their classes.")
    label_subsets = property(attrgetter("labels.label_subsets"), doc="Who has labels, by share; nested.")
    arms = property(attrgetter("trials.arms"), doc="Arms by name, as they were named or tuned last.")
    device = property(lambda _: "cuda" if cuda.is_available() else "cpu", doc="Where its networks run.")
    folder = property(attrgetter("evidence.folder"), doc="Where its evidence goes.")
    recipe = property(attrgetter("ground.recipe"), doc="See :meth:`studykit.study.ground.Ground.recipe`.")
    held_out = property(
        attrgetter("ground.held_out"), doc="See :meth:`studykit.study.ground.Ground.held_out`."
    )
    traits = property(attrgetter("labels.traits"), doc="What each subject is, where the study has traits.")

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
        starts_from: str = "",
        parts: Sequence[str] = ("encoder",),
        subjects: Sequence[str] = (),
        trait: str = "",
        **options: Any,
    ) -> Arm:
        """Name an arm, see :class:`~studykit.arms.arm.Arm`. Unless given, sizes are the profile's.

        ``parts`` of an arm that it ``starts_from`` are taken over; its training comes first, seed by seed.

        Raises:
            ValueError: unknown method, option, training setting or arm (the message lists the known ones), or
                an arm to start from that trains on test subjects.
        """
        return self.trials.register(
            Arm(
                name,
                method,
                self.ground.options() | options,
                dict(training or {}),
                rate_scale,
                dict(tuned_by),
                starts_as,
                starts_from,
                tuple(parts) if starts_from else (),
                tuple(subjects),
                trait,
            )
        )

    def run(self, arm: Arm | str, seed: int | None = None) -> Run:
        """Train one repetition of an arm, resume it, or find it done; what diverged or collapsed is said so.

        The training that an arm starts from comes first.

        Raises:
            ValueError: unknown arm; the message lists the known ones.
            KeyboardInterrupt: a signal stopped it; the same call goes on from its last checkpoint.
        """
        return self.trials.run(arm, seed)

    def run_all(
        self, arms: Iterable[Arm | str] | None = None, seeds: Sequence[int] | None = None
    ) -> dict[str, list[Run]]:
        """Every seed (or some) of every arm, seed by seed, so that a study stopped early has whole pairs.

        Small trainings go side by side, one a core, where there is enough to do: the results are the same bit
        for bit, see :mod:`studykit.runs.threads`.
        """
        return self.trials.run_all(arms, seeds)

    def tune(self, arm: Arm | str) -> tuple[Arm, pd.DataFrame]:
        """Choose the arm's learning rate on the tuning subjects, which neither train nor are held out.

        Every arm gets the same candidates, the same number of steps and one seed of its own. Where the best
        is the largest or the smallest candidate, further ones are tried beyond it. An arm's candidates all
        start from the first seed's pre-training.

        Returns:
            the arm with its rate, and the final error of each candidate.
        """
        return self.tune_all([arm])[0]

    def tune_all(self, arms: Iterable[Arm | str]) -> list[tuple[Arm, pd.DataFrame]]:
        """What :meth:`tune` gives for each of several arms, whose tuning runs then go side by side."""
        return self.trials.tune_all(arms)

    def expect(self, arms: Iterable[Arm | str] | None = None) -> pd.DataFrame:
        """What the tuning and the runs still to do will take: steps, operations, minutes as timed here."""
        return self.trials.expect(arms)

    def power(self) -> pd.DataFrame:
        """What this design can see, by the evidence at hand (at ``smoke`` by that of ``laptop``)."""
        from studykit.report.design import power_frame

        profile = "laptop" if self.profile.name == "smoke" else self.profile.name
        return power_frame(home.results_dir(), self.name, profile)

    def flops(self, arm: Arm | str, *, backward: bool = False) -> Flops:
        """Operations of one crop through an arm, forward or forward and backward."""
        return self.trials.flops(arm, backward=backward)

    def operations_a_step(self, arm: Arm | str) -> int:
        """Training operations of an optimizer step of an arm, with every backward pass that it takes."""
        return self.trials.operations_a_step(arm)

    def curves(
        self,
        arm: Arm | str,
        runs: Iterable[Run],
        x: str = "steps",
        of: Mapping[str, float] = MappingProxyType({"error": 1.0}),
    ) -> list[Curve]:
        """Held-out error of each run of an arm against ``steps``, training ``flops`` or training ``seconds``.

        See :func:`studykit.runs.effort.curve_of`.

        Raises:
            ValueError: unknown axis; the message lists the known ones.
        """
        check_axis(x)
        operations = self.operations_a_step(arm)
        return [curve_of(run, x, operations, of) for run in runs]

    def untrained(self, arm: Arm | str, seed: int | None = None) -> nn.Module:
        """The method of an arm as a seed, by default the first, initialises it."""
        seed = self.seeds[0] if seed is None else seed
        return new_method(self.trials.config(self.trials.find(arm), seed))

    def method_of(self, run: Run) -> nn.Module:
        """The method with the weights of a run's last checkpoint."""
        return trained_method(run)

    # ---- labels

    @property
    def labels(self) -> LabelledGround:
        """The ground of a study that trains with labels.

        Raises:
            ValueError: this study has none.
        """
        if not isinstance(self.ground, LabelledGround):
            raise ValueError(f"{self.name} is a study of pre-training: its arms train without labels.")
        return self.ground

    def with_labels(self, arm: Arm | str, share: float) -> Arm:
        """The arm with the labels of a share of the training subjects; its rate and initial weights stay.

        Raises:
            ValueError: a share that the profile does not have; the message lists those it has.
        """
        arm = self.trials.find(arm)
        if share not in self.label_subsets:
            known = ", ".join(f"{known:g}" for known in self.label_subsets)
            raise ValueError(f"No label subset of {share:g}. Known: {known}.")
        name, first = f"{arm.name}, {100 * share:.3g}% of labels", arm.starts_as or arm.name
        return self.trials.register(
            replace(arm, name=name, starts_as=first, subjects=self.label_subsets[share])
        )

    def equal_compute_steps(self, arm: Arm | str, pretraining: Arm | str) -> int:
        """Steps in which ``arm`` takes the operations of its own steps and the pre-training's together."""
        extra = self.ground.training_of(self.trials.find(pretraining), tuning=False).steps
        share = self.operations_a_step(pretraining) / self.operations_a_step(arm)
        return self.profile.steps + round(extra * share)

    def transferred(self, run: Run) -> dict[str, Any]:
        """Which weights a run took over, and which not, see :mod:`studykit.training.transfer`."""
        return json.loads((run.folder / TRANSFER).read_text(encoding="utf-8"))

    def test_sources(self) -> dict[str, str]:
        """Volumes to test on, by what they are; those of other sources only where the study's own trained."""
        return scores.sources_to_test(self.labels)

    def test_volumes(self, which: str = scores.HELD_OUT) -> Labelled:
        """The volumes of a test, see :func:`studykit.study.scores.volumes_to_test`."""
        return scores.volumes_to_test(self.labels, which)

    def test_scores(self, run: Run, which: str = scores.HELD_OUT, most: int | None = None) -> pd.DataFrame:
        """What a run's best weights make of each test volume, or of the first ``most``.

        Of a segmentation the scores of each class, distances in mm; of a classification ``score``, the
        probability of the second class, and ``label``.
        """
        return scores.test_scores(run, which, self.labels, most)

    def training_scores(self, run: Run) -> pd.DataFrame:
        """As :meth:`test_scores`, of the volumes whose labels the run trained on."""
        volumes = self.data.select(run.config["data"]["train"])
        return scores.segmentation_scores(run, "training", replace(self.data, volumes=volumes))

    def mean_dice(self, runs: Iterable[Run], which: str = scores.HELD_OUT) -> list[float]:
        """Mean test Dice of each run: over the classes of a subject, then over subjects."""
        return [scores.mean_dice(self.test_scores(run, which)) for run in runs]

    def detection_scores(self, run: Run) -> pd.DataFrame:
        """What a detection run's best weights say of each test subject.

        Returns:
            ``subject``, ``diameter_mm`` (NaN without an aneurysm), and ``score NAME`` and ``label NAME`` for
            each NAME of :data:`studykit.data.angiography.sites.LABELS`.
        """
        return scores.detection_scores(run, self.data, self.split.test, self.labels.truth)

    # ---- evidence

    def rest_on(self, other: "Study") -> None:
        """Take over the volumes, the split and the runs of a study whose trained networks this one looks at.

        Called once the other study has its runs: verdicts then state its data, its cost and its provenance.
        """
        self.ground.rest_on(other.ground)
        self.trials.rest_on(other.trials)

    def save_figure(self, figure: "Figure", name: str, description: str) -> None:
        """Write a figure beside the verdicts as SVG and PNG; the description is its alt text."""
        self.evidence.save_figure(figure, name, description)

    def save_table(self, table: pd.DataFrame, name: str, caption: str) -> None:
        """Write a table beside the verdicts as CSV, Markdown and LaTeX."""
        self.evidence.save_table(table, name, caption)

    def conclude(self, claim: Claim | str, estimate: Estimate | None) -> Verdict:
        """Judge a claim by its rule, and write the verdict with what it rests on.

        Raises:
            ValueError: the claim is unknown, or belongs to another study.
        """
        return self.evidence.conclude(claim, estimate, self.ground, self.trials)

    def cost(self) -> Cost:
        """Core- or GPU-hours and operations of every run that this study looked at, tuning included."""
        return self.trials.cost()
