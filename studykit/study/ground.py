"""The ground of a study: its volumes, who trains and who is held out, what a run of an arm sees of them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from studykit.arms.arm import Arm
from studykit.arms.profiles import Profile
from studykit.arms.setups import Setup
from studykit.arms.tuning import training_of
from studykit.data.sources import own_path, prepared_source
from studykit.data.splits import Split, refuse_overlap, split_subjects
from studykit.data.volumes.cache import Prepared
from studykit.runs.store import derive_seed
from studykit.tasks import Recipe, reconstruction
from studykit.training.config import TrainingConfig


class Ground:
    """Masked pre-training: a split of whole volumes, tuned on one subject, scored on those held out.

    A study with labels has another one, see :mod:`studykit.study.labelled_ground`.

    Attributes:
        study: name of the study, which seeds its split.
        profile: its sizes.
        setup: what it differs in from other studies.
        source: of its volumes.
        folder: where its split is written down.
    """

    def __init__(self, study: str, profile: Profile, setup: Setup, source: str, folder: Path) -> None:
        self.study = study
        self.profile = profile
        self.setup = setup
        self.source = source
        self.folder = folder

    @property
    def is_default(self) -> bool:
        """Whether the volumes are those that the study is judged on."""
        return self.source == self.setup.source_at(self.profile)

    @cached_property
    def data(self) -> Prepared:
        """All volumes of the source, prepared at the profile's spacing."""
        return prepared_source(self.source, self.profile.spacing_mm, self.setup.intensity)

    @cached_property
    def split(self) -> Split:
        """Subjects that train, that tune (``val``) and that are held out to the end (``test``).

        Raises:
            ValueError: fewer than three usable subjects.
        """
        ids = sorted({volume.subject for volume in self.data.volumes})
        if len(ids) < 3:
            raise ValueError(
                f"{self.source} has {len(ids)} usable subject(s); a study needs at least 3: to train, to "
                "tune and to hold out."
            )
        split = split_subjects(ids, seed=derive_seed(self.study, "split"), **self.parts(ids))
        split.save(self.folder / "split.json")
        return split

    def parts(self, ids: Sequence[str]) -> dict[str, Any]:
        """How many of the subjects tune and are held out, or their share, and who by name."""
        hold_out = self.setup.hold_out if self.is_default else ()
        return {"val": 1, "test": 0.3, "hold_out": hold_out}

    def options(self) -> dict[str, Any]:
        """Options that every arm has unless it says otherwise."""
        return {"img_size": self.profile.crop_size, "patch_size": self.profile.patch_size}

    def recipe(self, held_out: Sequence[str] | None = None) -> reconstruction.Recipe:
        """The data of a pre-training, scored on ``held_out`` subjects (default: the test subjects)."""
        sizes = self.profile
        return reconstruction.Recipe(
            source=self.source,
            fingerprint=self.data.fingerprint,
            spacing_mm=sizes.spacing_mm,
            crop_size=sizes.crop_size,
            train=self.split.train,
            held_out=tuple(held_out or self.split.test),
            crops_per_subject=sizes.crops_per_subject,
            validation_seed=derive_seed(self.study, "validation") >> 1,
            intensity=self.setup.intensity,
            constant_background=self.setup.constant_background,
        )

    def recipe_of(self, arm: Arm, *, tuning: bool) -> Recipe:
        """The data that an arm trains on and is scored on while it does."""
        recipe = self.recipe(self.split.val if tuning else None)
        return replace(recipe, train=arm.subjects) if arm.subjects else recipe

    def training_of(self, arm: Arm, *, tuning: bool) -> TrainingConfig:
        """How an arm trains, see :func:`studykit.arms.tuning.training_of`."""
        return training_of(arm, self.profile, tuning=tuning)

    def refuse_start(self, first: Arm) -> None:
        """Refuse to start from an arm that trains on test subjects.

        Raises:
            ValueError: it does; the message names them.
        """
        refuse_overlap(first.subjects, self.split.test)

    def held_out(self, method: nn.Module) -> tuple[Tensor, Tensor, list[str]]:
        """Fixed crops (N, 1, D, H, W), their fixed masks (N, d, h, w) and the subject of each."""
        crops, subjects = reconstruction.held_out_crops(self.data, self.recipe())
        return crops, reconstruction.held_out_masks(method, self.recipe(), len(crops)), subjects

    def rest_on(self, other: "Ground") -> None:
        """Take over the volumes and the split of another study."""
        self.source, self.data, self.split = other.source, other.data, other.split

    @property
    def held_out_subjects(self) -> int | None:
        """Number of test subjects; None where no volume was asked for yet."""
        return len(self.split.test) if "split" in vars(self) else None

    def in_words(self) -> str:
        """What a verdict says of its data, without a folder's path; empty where no volume was asked for."""
        if "split" not in vars(self):
            return ""
        own = own_path(self.source)
        source = self.source if own is None else self.source.partition(":")[0] + f":{own.name}"
        split = self.split
        return (
            f"{source} at {self.profile.spacing_mm:g} mm: {len(split.train)} training, {len(split.val)} "
            f"tuning, {len(split.test)} held-out subjects"
        )
