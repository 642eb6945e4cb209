"""Who trains, who validates and who is tested in a fine-tuning, and the scores of the test, by task."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import pandas as pd

from studykit.data.aneurysms import open_aneurysms
from studykit.data.angiography.sites import LABELS, PRESENT
from studykit.data.labelled import open_labelled
from studykit.data.sources import prepared_source
from studykit.data.splits import Split, split_subjects, stratified_split
from studykit.data.traits import open_traits
from studykit.finetuning.plan import FinetuningPlan
from studykit.metrics.detection import auc, weighted_auc
from studykit.runs.store import Run, derive_seed
from studykit.study import scores
from studykit.tasks import Recipe, classification, detection, segmentation

TEST = "test"


class SegmentationGround:
    """Label maps: one Dice a subject and class."""

    def __init__(self, plan: FinetuningPlan, crop_size: int) -> None:
        self.plan = plan
        self.crop_size = crop_size

    @cached_property
    def labelled(self) -> Any:
        return open_labelled(self.plan.data, self.plan.spacing_mm)

    @cached_property
    def split(self) -> Split:
        """Subjects that train, validate (``val``) and are tested once (``test``).

        Raises:
            ValueError: too few subjects.
        """
        plan = self.plan
        ids = {volume.subject for volume in self.labelled.prepared.volumes}
        return split_subjects(ids, seed=_seed(plan), val=plan.val, test=plan.test)

    def options(self) -> dict[str, Any]:
        """Of the method, beside the network's."""
        return {"num_classes": 1 + len(self.labelled.classes)}

    def recipe(self) -> Recipe:
        found = self.labelled
        return segmentation.Recipe(
            **self._shared(), fingerprint=found.prepared.fingerprint, classes=found.classes
        )

    def scores(self, run: Run) -> pd.DataFrame:
        """A row a test subject and class, by the run's best weights."""
        prepared = self.labelled.prepared
        return scores.segmentation_scores(
            run, TEST, replace(prepared, volumes=tuple(prepared.select(self.split.test)))
        )

    def summary(self, rows: pd.DataFrame) -> dict[str, float]:
        """The test in few numbers; a class that a subject does not have is left out."""
        dice = {f"Dice, {name}": float(own.mean()) for name, own in rows.groupby("class")["dice"]}
        return {"mean Dice": scores.mean_dice(rows)} | dice

    def _shared(self) -> dict[str, Any]:
        return {
            "source": self.plan.data,
            "spacing_mm": self.plan.spacing_mm,
            "crop_size": self.crop_size,
            "train": self.split.train,
            "held_out": self.split.val,
        }


class ClassificationGround(SegmentationGround):
    """A trait of each subject: one probability a subject."""

    @cached_property
    def traits(self) -> Any:
        return open_traits(self.plan.data)

    @cached_property
    def data(self) -> Any:
        return prepared_source(self.plan.data, self.plan.spacing_mm)

    @cached_property
    def split(self) -> Split:
        """As of segmentation, of the subjects whose trait is known, each part with both classes.

        Raises:
            ValueError: an unknown trait (the message lists the known ones), or too few subjects of a class.
        """
        traits, plan = self.traits, self.plan
        if plan.trait not in traits.names:
            raise ValueError(f"unknown trait {plan.trait!r}; {plan.data} has {', '.join(traits.names)}")
        known = traits.having(plan.trait, sorted({volume.subject for volume in self.data.volumes}))
        return _both_classes({subject: traits.of[subject][plan.trait] for subject in known}, plan)

    def options(self) -> dict[str, Any]:
        return {"num_classes": 2}

    def recipe(self) -> Recipe:
        trait = self.plan.trait
        return classification.Recipe(
            **self._shared(),
            fingerprint=classification.fingerprint(self.data, self.traits, trait),
            trait=trait,
            classes=self.traits.values[trait],
        )

    def scores(self, run: Run) -> pd.DataFrame:
        tested = replace(self.data, volumes=tuple(self.data.select(self.split.test)))
        return scores.classification_scores(run, TEST, tested, self.traits)

    def summary(self, rows: pd.DataFrame) -> dict[str, float]:
        return {"AUROC": auc(rows["score"], rows["label"])}


class DetectionGround(SegmentationGround):
    """Aneurysms at known places: the challenge's fourteen probabilities a subject."""

    @cached_property
    def found(self) -> Any:
        return open_aneurysms(self.plan.data, self.plan.spacing_mm)

    @cached_property
    def split(self) -> Split:
        """As of segmentation, each part with and without aneurysms."""
        data, rows = self.found
        present = LABELS.index(PRESENT)
        known = {row.id: row.labels[present] for row in rows}
        return _both_classes({v.subject: known[v.subject] for v in data.volumes}, self.plan)

    def options(self) -> dict[str, Any]:
        return {}

    def recipe(self) -> Recipe:
        return detection.Recipe(**self._shared(), fingerprint=self.found[0].fingerprint)

    def scores(self, run: Run) -> pd.DataFrame:
        data, rows = self.found
        return scores.detection_scores(run, data, self.split.test, rows)

    def summary(self, rows: pd.DataFrame) -> dict[str, float]:
        score, label = (rows[[f"{kind} {name}" for name in LABELS]] for kind in ("score", "label"))
        return {
            "weighted AUC": weighted_auc(score, label),
            f"AUC, {PRESENT}": auc(rows[f"score {PRESENT}"], rows[f"label {PRESENT}"]),
        }


GROUNDS = {
    "segmentation": SegmentationGround,
    "classification": ClassificationGround,
    "detection": DetectionGround,
}
"""By task."""


def _both_classes(strata: Mapping[str, Any], plan: FinetuningPlan) -> Split:
    """Split by class.

    Raises:
        ValueError: a part of which all subjects are of one class; the message counts them.
    """
    val, test = (max(2, math.ceil(share * len(strata))) for share in (plan.val, plan.test))
    split = stratified_split(strata, seed=_seed(plan), val=val, test=test)
    for name, ids in asdict(split).items():
        if len({strata[subject] for subject in ids}) < 2:
            raise ValueError(
                f"the {len(ids)} subject(s) of the part {name!r} are of one class; the other is needed, too"
            )
    return split


def _seed(plan: FinetuningPlan) -> int:
    return derive_seed("finetuning", "split", plan.seed)
