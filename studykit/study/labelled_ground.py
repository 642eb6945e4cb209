"""The ground of a study that trains with labels, after pre-training or without: who has labels, and how many.

Pre-training arms see the images of all training subjects, labelled arms the images and labels of some.
Both are validated on the same subjects. Test subjects are scored once, see :mod:`studykit.study.scores`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from studykit import atomic
from studykit.arms.arm import Arm
from studykit.arms.profiles import TransferProfile
from studykit.arms.tuning import training_of
from studykit.data.angiography.cohort import open_angiography
from studykit.data.angiography.subjects import AngiographyRow
from studykit.data.labelled import Labelled, open_labelled
from studykit.data.sources import prepared_source
from studykit.data.splits import Split, nested_subsets, stratified_split
from studykit.data.traits import Traits, open_traits
from studykit.data.volumes.cache import Prepared
from studykit.methods import task_of
from studykit.runs.store import derive_seed
from studykit.study.ground import Ground
from studykit.tasks import Recipe, classification, detection, reconstruction, segmentation
from studykit.training.config import TrainingConfig

MOST_SEGMENTED = 24
"""Validation subjects that a repetition segments: of more, validating takes longer than training."""


class LabelledGround(Ground):
    """Segmentation: subjects that train, that validate, and that are tested once."""

    profile: TransferProfile

    @cached_property
    def labelled(self) -> Labelled:
        """All volumes with their label maps, and the names of the classes."""
        return open_labelled(self.source, self.profile.spacing_mm)

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source with their labels."""
        return self.labelled.prepared

    @cached_property
    def images(self) -> Prepared:
        """The same volumes as those who need no labels see them."""
        return prepared_source(self.source, self.profile.spacing_mm, self.setup.intensity)

    @cached_property
    def label_subsets(self) -> dict[float, tuple[str, ...]]:
        """Training subjects with labels by share; a smaller subset lies in every larger one.

        Raises:
            ValueError: a share that is not one subject.
        """
        subsets = nested_subsets(
            self.split.train, self.profile.label_fractions, seed=derive_seed(self.study, "labels")
        )
        return self._written(subsets)

    def _written(self, subsets: dict[float, tuple[str, ...]]) -> dict[float, tuple[str, ...]]:
        """Subsets that are kept beside the evidence."""
        written = {f"{share:g}": list(ids) for share, ids in subsets.items()}
        atomic.write_json(self.folder / "label_subsets.json", written)
        return subsets

    def parts(self, ids: Sequence[str]) -> dict[str, Any]:
        """The profile's numbers where the source has just as many subjects, else shares."""
        sizes = self.profile
        if len(ids) == sizes.subjects:
            return {"val": sizes.val, "test": sizes.test}
        return {"val": 0.15, "test": 0.25}

    def options(self) -> dict[str, Any]:
        """The side of a crop; how an architecture cuts it is its own affair."""
        return {"img_size": self.profile.crop_size}

    def recipe_of(self, arm: Arm, *, tuning: bool) -> Recipe:
        """The data that an arm trains on, by the task of its method, scored on the validation subjects."""
        task = task_of(arm.method)
        shared = {
            "source": self.source,
            "spacing_mm": self.profile.spacing_mm,
            "crop_size": self.profile.crop_size,
            "train": arm.subjects or self.split.train,
            "held_out": self.split.val,
        }
        if task == "detection":
            return detection.Recipe(**shared, fingerprint=self.data.fingerprint)
        shared["constant_background"] = self.setup.constant_background
        if task == "segmentation":
            classes = self.labelled.classes
            shared["held_out"] = self.split.val if tuning else _evenly(self.split.val, MOST_SEGMENTED)
            return segmentation.Recipe(**shared, fingerprint=self.data.fingerprint, classes=classes)
        return reconstruction.Recipe(
            **shared,
            fingerprint=self.images.fingerprint,
            crops_per_subject=self.profile.crops_per_subject,
            validation_seed=derive_seed(self.study, "validation") >> 1,
            intensity=self.setup.intensity,
        )

    def training_of(self, arm: Arm, *, tuning: bool) -> TrainingConfig:
        """Pre-trainings have their own steps; trainings with labels keep the weights that validate best."""
        sizes, own = self.profile, dict(arm.training)
        if task_of(arm.method) == "reconstruction":
            sizes = replace(sizes, steps=sizes.pretraining_steps)
        else:
            own = {"keep_best": True, "snapshot_every": None} | own
        sizes = replace(sizes, tuning_steps=min(sizes.tuning_steps, sizes.steps))
        return training_of(replace(arm, training=own), sizes, tuning=tuning)


class DetectionGround(LabelledGround):
    """Detection: angiographies whose aneurysms are known."""

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source."""
        return prepared_source(self.source, self.profile.spacing_mm)

    @cached_property
    def truth(self) -> tuple[AngiographyRow, ...]:
        """What is known of each subject."""
        return open_angiography(self.source, self.profile.spacing_mm)[1]


class TraitsGround(LabelledGround):
    """Subjects with label maps and with traits: segmentation, and classification by each trait.

    Every trait has both of its classes, in their shares, among those that train, validate and are tested.
    """

    @cached_property
    def traits(self) -> Traits:
        """What each subject is."""
        return open_traits(self.source)

    @cached_property
    def split(self) -> Split:
        """Subjects that train, validate (``val``) and are tested once (``test``).

        Raises:
            ValueError: too few subjects, or a trait of which a part has one class only; the message names it.
        """
        strata = self._strata({volume.subject for volume in self.data.volumes})
        counts = self.parts(sorted(strata))
        whole = {k: n if isinstance(n, int) else max(2, round(n * len(strata))) for k, n in counts.items()}
        split = stratified_split(strata, seed=derive_seed(self.study, "split"), **whole)
        for name in ("train", "val", "test"):
            for trait in self.traits.names:
                known = self.traits.having(trait, getattr(split, name))
                if len({self.traits.of[subject][trait] for subject in known}) < 2:
                    raise ValueError(
                        f"{self.source}: the {len(known)} subjects of the part {name!r} whose {trait} is "
                        "known are of one class; more subjects of the other are needed"
                    )
        split.save(self.folder / "split.json")
        return split

    @cached_property
    def label_subsets(self) -> dict[float, tuple[str, ...]]:
        """Training subjects with labels by share, nested, each with every class by its share."""
        seed, strata = derive_seed(self.study, "labels"), self._strata(self.split.train)
        return self._written(nested_subsets(self.split.train, self.profile.label_fractions, seed, strata))

    def _strata(self, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Subject → all its traits."""
        return {
            subject: tuple(self.traits.of[subject][name] for name in self.traits.names) for subject in ids
        }

    def recipe_of(self, arm: Arm, *, tuning: bool) -> Recipe:
        """See :meth:`LabelledGround.recipe_of`; whole fields by the arm's trait, views where it segments.

        Raises:
            ValueError: an unknown trait; the message lists the known ones.
        """
        if task_of(arm.method) != "classification":
            recipe = super().recipe_of(arm, tuning=tuning)
            whole = task_of(arm.method) != "segmentation"
            return recipe if whole else replace(recipe, crop_size=self.profile.view_size)
        if arm.trait not in self.traits.names:
            known = ", ".join(self.traits.names)
            raise ValueError(f"{arm.name}: unknown trait {arm.trait!r}; {self.source} has {known}")
        return classification.Recipe(
            source=self.source,
            fingerprint=classification.fingerprint(self.images, self.traits, arm.trait),
            spacing_mm=self.profile.spacing_mm,
            crop_size=self.profile.crop_size,
            train=self.traits.having(arm.trait, arm.subjects or self.split.train),
            held_out=self.traits.having(arm.trait, self.split.val),
            trait=arm.trait,
            classes=self.traits.values[arm.trait],
            constant_background=self.setup.constant_background,
        )


def _evenly(ids: Sequence[str], most: int) -> tuple[str, ...]:
    """No more than so many, from all over the order."""
    return tuple(ids[:: -(-len(ids) // most)])
