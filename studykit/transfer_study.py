"""A study that trains with labels, after pre-training or without: who has labels, what starts from what.

Pre-training arms see the images of all training subjects, labelled arms the images and labels of some of
them. Both are validated on the same subjects. Test subjects, other scanners and other volumes are scored
once, with the weights that validated best.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from studykit import atomic
from studykit.arms import Arm, training_of
from studykit.data.angiography import AngiographyRow, open_angiography
from studykit.data.cache import Prepared
from studykit.data.labelled import Labelled, open_labelled
from studykit.data.prepared import prepared_source
from studykit.data.splits import Split, nested_subsets, refuse_overlap, split_subjects
from studykit.experiment import TRANSFER, best_method
from studykit.methods import task_of
from studykit.profiles import TransferProfile
from studykit.runs import Run, derive_seed
from studykit.study import TUNING, Study
from studykit.tasks import Recipe, detection, reconstruction, segmentation
from studykit.training.config import TrainingConfig

HELD_OUT = "held out"
SCORES = "scores"
COLUMNS = {"subject": str, "class": str, "dice": float, "hd95": float, "surface_dice": float}


class TransferStudy(Study):
    """See :func:`studykit.study.open_study`."""

    profile: TransferProfile

    # ---- data

    @cached_property
    def labelled(self) -> Labelled:
        """All volumes of a segmentation study with their label maps, and the names of the classes."""
        return open_labelled(self.source, self.profile.spacing_mm)

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source with their labels."""
        if self.setup.labels == "detection":
            return prepared_source(self.source, self.profile.spacing_mm)
        return self.labelled.prepared

    @cached_property
    def split(self) -> Split:
        """Subjects that train, that validate and that are tested once."""
        sizes, ids = self.profile, sorted({volume.subject for volume in self.data.volumes})
        if len(ids) == sizes.subjects:
            parts = {"val": sizes.val, "test": sizes.test}
        else:
            parts = {"val": 0.15, "test": 0.25}
        split = split_subjects(ids, seed=derive_seed(self.name, "split"), **parts)
        split.save(self.folder / "split.json")
        return split

    @cached_property
    def label_subsets(self) -> dict[float, tuple[str, ...]]:
        """Training subjects with labels by share; a smaller subset lies in every larger one.

        Raises:
            ValueError: a share that is not one subject.
        """
        subsets = nested_subsets(
            self.split.train, self.profile.label_fractions, seed=derive_seed(self.name, "labels")
        )
        atomic.write_json(
            self.folder / "label_subsets.json", {f"{share:g}": list(ids) for share, ids in subsets.items()}
        )
        return subsets

    # ---- arms

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
        **options: Any,
    ) -> Arm:
        """Name an arm, see :class:`studykit.arms.Arm`; crops are the profile's.

        Args:
            starts_from: an arm whose training comes first, seed by seed.

        Raises:
            ValueError: unknown method, option, training setting or arm (the message lists the known ones), or
                an arm to start from that trains on test subjects.
        """
        arm = Arm(
            name,
            method,
            {"img_size": self.profile.crop_size} | options,
            dict(training or {}),
            rate_scale,
            dict(tuned_by),
            starts_as,
            starts_from,
            tuple(parts) if starts_from else (),
            tuple(subjects),
        )
        if starts_from:
            refuse_overlap(self._arm(starts_from).subjects, self.split.test)
        return self._register(arm)

    def with_labels(self, arm: Arm | str, share: float) -> Arm:
        """The arm with the labels of a share of the training subjects; its rate and initial weights stay.

        Raises:
            ValueError: a share that the profile does not have; the message lists those it has.
        """
        arm = self._arm(arm)
        if share not in self.label_subsets:
            known = ", ".join(f"{known:g}" for known in self.label_subsets)
            raise ValueError(f"No label subset of {share:g}. Known: {known}.")
        named = replace(
            arm,
            name=f"{arm.name}, {share:.0%} of labels",
            starts_as=arm.starts_as or arm.name,
            subjects=self.label_subsets[share],
        )
        return self._register(named)

    def equal_compute_steps(self, arm: Arm | str, pretraining: Arm | str) -> int:
        """Steps in which ``arm`` takes the operations of its own steps and the pre-training's together."""
        extra = self._training_of(self._arm(pretraining), tuning=False).steps
        share = self.operations_a_step(pretraining) / self.operations_a_step(arm)
        return self.profile.steps + round(extra * share)

    def run(self, arm: Arm | str, seed: int | None = None) -> Run:
        """As :meth:`Study.run`; the training that an arm starts from comes first."""
        arm, seed = self._arm(arm), self.seeds[0] if seed is None else seed
        if arm.starts_from:
            self.run(arm.starts_from, seed)
        return super().run(arm, seed)

    def tune(self, arm: Arm | str) -> tuple[Arm, pd.DataFrame]:
        """As :meth:`Study.tune`; an arm's candidates all start from the first seed's pre-training."""
        arm = self._arm(arm)
        if arm.starts_from:
            self.run(arm.starts_from, self.seeds[0])
        return super().tune(arm)

    # ---- what came out

    def transferred(self, run: Run) -> dict[str, Any]:
        """Which weights a run took over, and which it did not, see :mod:`studykit.transfer`."""
        return json.loads((run.folder / TRANSFER).read_text(encoding="utf-8"))

    def test_sources(self) -> dict[str, str]:
        """Volumes to test on, by what they are; those of other sources only where the study's own trained."""
        if self.source != self.setup.source_at(self.profile):
            return {HELD_OUT: self.source}
        return {HELD_OUT: self.source, **self.setup.tests_at(self.profile)}

    def test_volumes(self, which: str = HELD_OUT) -> Labelled:
        """The volumes of a test: test subjects of the source or of another scanner, or all of other volumes.

        Raises:
            ValueError: unknown test, other classes than the study's, or subjects that trained.
        """
        sources = self.test_sources()
        if which not in sources:
            raise ValueError(f"Unknown test {which!r}. Known: {', '.join(sources)}.")
        found = open_labelled(sources[which], self.profile.spacing_mm)
        if found.classes != self.labelled.classes:
            raise ValueError(f"{sources[which]} has other classes than {self.source}: {found.classes}")
        volumes = found.prepared.volumes
        ids = {volume.subject for volume in volumes}
        chosen = ids.intersection(self.split.test) or ids
        refuse_overlap(self.split.train, chosen)
        own = tuple(volume for volume in volumes if volume.subject in chosen)
        return Labelled(replace(found.prepared, volumes=own), found.classes)

    def test_scores(self, run: Run, which: str = HELD_OUT) -> pd.DataFrame:
        """Dice, HD95 in mm and surface Dice of each test volume and class, by the run's best weights.

        Worked out once and kept with the run.
        """
        return self._scores(run, which, self.test_volumes(which).prepared)

    def training_scores(self, run: Run) -> pd.DataFrame:
        """As :meth:`test_scores`, of the volumes whose labels the run trained on."""
        volumes = self.data.select(run.config["data"]["train"])
        return self._scores(run, "training", replace(self.data, volumes=volumes))

    def mean_dice(self, runs: Iterable[Run], which: str = HELD_OUT) -> list[float]:
        """Mean test Dice of each run: over the classes of a subject, then over subjects."""
        return [mean_dice(self.test_scores(run, which)) for run in runs]

    def detection_scores(self, run: Run) -> pd.DataFrame:
        """What a detection run's best weights say of each test subject, see :func:`detection.test_rows`.

        Worked out once and kept with the run.

        Returns:
            ``subject``, ``diameter_mm`` (NaN without an aneurysm), and ``score NAME`` and ``label NAME`` for
            each NAME of :data:`studykit.data.aneurysm_sites.LABELS`.
        """
        volumes = self.data.select(self.split.test)
        key = [self.data.fingerprint, list(self.split.test), detection.Recipe.version]
        path = run.folder / f"{SCORES}-detection.json"
        kept = _kept_rows(path, key, lambda: detection.test_rows(best_method(run), volumes, self._truth))
        return kept[list(detection.TEST_COLUMNS)].astype({"subject": str, "diameter_mm": float})

    # ---- inside

    @cached_property
    def _truth(self) -> tuple[AngiographyRow, ...]:
        """What is known of each subject of a detection study."""
        return open_angiography(self.source, self.profile.spacing_mm)[1]

    def _recipe_of(self, arm: Arm, *, tuning: bool) -> Recipe:
        sizes, train = self.profile, arm.subjects or self.split.train
        task = task_of(arm.method)
        shared = {
            "source": self.source,
            "spacing_mm": sizes.spacing_mm,
            "crop_size": sizes.crop_size,
            "train": train,
            "held_out": self.split.val,
        }
        if task == "detection":
            return detection.Recipe(**shared, fingerprint=self.data.fingerprint)
        shared["constant_background"] = self.setup.constant_background
        if task == "segmentation":
            return segmentation.Recipe(
                **shared, fingerprint=self.data.fingerprint, classes=self.labelled.classes
            )
        images = prepared_source(self.source, sizes.spacing_mm, self.setup.intensity)
        return reconstruction.Recipe(
            **shared,
            fingerprint=images.fingerprint,
            crops_per_subject=sizes.crops_per_subject,
            validation_seed=derive_seed(self.name, "validation") >> 1,
            intensity=self.setup.intensity,
        )

    def _scores(self, run: Run, which: str, data: Prepared) -> pd.DataFrame:
        key = [data.fingerprint, [volume.subject for volume in data.volumes], segmentation.Recipe.version]
        path, recipe = run.folder / f"{SCORES}-{which.replace(' ', '-')}.json", run.config["data"]
        kept = _kept_rows(
            path,
            key,
            lambda: segmentation.test_rows(best_method(run), data.volumes, segmentation.Recipe(**recipe)),
        )
        return kept[list(COLUMNS)].astype(COLUMNS)

    def _training_of(self, arm: Arm, *, tuning: bool) -> TrainingConfig:
        sizes, own = self.profile, dict(arm.training)
        if task_of(arm.method) == "reconstruction":
            sizes = replace(sizes, steps=sizes.pretraining_steps)
        else:
            own = {"keep_best": True, "snapshot_every": None} | own
        sizes = replace(sizes, tuning_steps=min(sizes.tuning_steps, sizes.steps))
        return training_of(replace(arm, training=own), sizes, tuning=tuning)

    def _start_of(self, arm: Arm, repetition: int | str) -> dict[str, Any]:
        """A tuning run starts from the first seed's pre-training."""
        if not arm.starts_from:
            return {}
        seed = self.seeds[0] if repetition == TUNING else repetition
        first = self._config(self._arm(arm.starts_from), seed)
        return {"starts_from": self._store.open(first, arm.starts_from).key, "parts": arm.parts}


def mean_dice(scores: pd.DataFrame) -> float:
    """Mean over the classes of a subject, then over subjects; NaN scores are left out."""
    return float(scores.groupby("subject")["dice"].mean().mean())


def _kept_rows(path: Path, key: Sequence[Any], work_out: Callable[[], list[dict[str, Any]]]) -> pd.DataFrame:
    """Rows that stand in a file under ``key``; else they are worked out and kept there."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("of") != key:
        table = pd.DataFrame(work_out())
        kept = {"of": key, "rows": json.loads(table.to_json(orient="records", double_precision=15))}
        atomic.write_json(path, kept)
    return pd.DataFrame(kept["rows"])
