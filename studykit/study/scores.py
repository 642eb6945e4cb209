"""Test scores of a study with labels: worked out once by a run's best weights, and kept with the run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from studykit import atomic
from studykit.data.labelled import Labelled, open_labelled
from studykit.data.splits import refuse_overlap
from studykit.data.traits import Traits, open_traits
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.data.volumes.tensors import volume_tensor
from studykit.methods import task_of
from studykit.methods.method import Method
from studykit.runs.store import Run
from studykit.runs.weights import best_method, networks_device
from studykit.study.labelled_ground import LabelledGround
from studykit.tasks import classification, detection, segmentation
from studykit.tasks.sliding_window import segment_volume

HELD_OUT = "held out"
SCORES = "scores"
COLUMNS = {"subject": str, "class": str, "dice": float, "hd95": float, "surface_dice": float}
LATER = {"iou": float, "accuracy": float, "asd": float}
"""Columns that scores of earlier runs, which stay as they are, do not have."""


def sources_to_test(ground: LabelledGround) -> dict[str, str]:
    """Volumes to test on, by what they are; those of other sources only where the study's own trained."""
    if not ground.is_default:
        return {HELD_OUT: ground.source}
    return {HELD_OUT: ground.source, **ground.setup.tests_at(ground.profile)}


def volumes_to_test(ground: LabelledGround, which: str = HELD_OUT) -> Labelled:
    """The volumes of a test: test subjects of the source or of another scanner, or all of other volumes.

    Raises:
        ValueError: unknown test, other classes than the study's, or subjects that trained.
    """
    sources = sources_to_test(ground)
    if which not in sources:
        raise ValueError(f"Unknown test {which!r}. Known: {', '.join(sources)}.")
    found = open_labelled(sources[which], ground.profile.spacing_mm)
    if found.classes != ground.labelled.classes:
        raise ValueError(f"{sources[which]} has other classes than {ground.source}: {found.classes}")
    volumes = found.prepared.volumes
    ids = {volume.subject for volume in volumes}
    chosen = ids.intersection(ground.split.test) or ids
    refuse_overlap(ground.split.train, chosen)
    own = tuple(volume for volume in volumes if volume.subject in chosen)
    return Labelled(replace(found.prepared, volumes=own), found.classes)


def test_scores(run: Run, which: str, ground: LabelledGround, most: int | None = None) -> pd.DataFrame:
    """What a run's best weights make of the volumes of a test, or of the first ``most``, by its task."""
    data = volumes_to_test(ground, which).prepared
    data = replace(data, volumes=data.volumes[:most])
    if task_of(run.config["method"]["name"]) == "classification":
        return classification_scores(run, which, data, open_traits(sources_to_test(ground)[which]))
    return segmentation_scores(run, which, data)


def segmentation_scores(run: Run, which: str, data: Prepared) -> pd.DataFrame:
    """Scores of each volume and class by the run's best weights, see :func:`segmentation.test_rows`."""
    recipe = run.config["data"]

    def work_out() -> list[dict[str, Any]]:
        return segmentation.test_rows(_best(run), data.volumes, segmentation.Recipe(**recipe))

    kept = kept_rows(_path(run, which), _key(data), work_out)
    columns = COLUMNS | {name: kind for name, kind in LATER.items() if name in kept}
    return kept[list(columns)].astype(columns)


def own_scores(
    run: Run,
    which: str,
    data: Prepared,
    measure: Callable[[PreparedVolume, NDArray[np.integer]], list[dict[str, Any]]],
    change: Callable[[Tensor, PreparedVolume], Tensor] | None = None,
) -> pd.DataFrame:
    """What a measure says of the classes that the run's best weights find in each volume.

    Args:
        which: name of this test, kept with the run under it; another measure or change needs another name.
        measure: of a volume and the classes (D, H, W) found in it: rows.
        change: of each image (1, D, H, W) before it is segmented, such as noise.

    Returns:
        the rows, each with its ``subject``; columns by their names.
    """
    recipe = segmentation.Recipe(**run.config["data"])

    def work_out() -> list[dict[str, Any]]:
        method, rows = _best(run), []
        for volume in data.volumes:
            image = volume_tensor(volume, constant_background=recipe.constant_background)
            image = image if change is None else change(image, volume)
            found = segment_volume(method, image, recipe.crop_size).numpy()
            rows += [{"subject": volume.subject} | row for row in measure(volume, found)]
        return rows

    return kept_rows(_path(run, which), [which, *_key(data)], work_out).sort_index(axis=1)


def detection_scores(run: Run, data: Prepared, test: Sequence[str], truth: Sequence[Any]) -> pd.DataFrame:
    """What a detection run's best weights say of each test subject, see :func:`detection.test_rows`."""
    key = [data.fingerprint, list(test), detection.Recipe.version]
    path = run.folder / f"{SCORES}-detection.json"

    def work_out() -> list[dict[str, Any]]:
        crop_size = run.config["data"]["crop_size"]
        return detection.test_rows(_best(run), data.select(test), truth, crop_size)

    kept = kept_rows(path, key, work_out)
    return kept[list(detection.TEST_COLUMNS)].astype({"subject": str, "diameter_mm": float})


def classification_scores(run: Run, which: str, data: Prepared, traits: Traits) -> pd.DataFrame:
    """What a classification's best weights say of each volume, see :func:`classification.test_rows`."""
    recipe = classification.Recipe(**run.config["data"])
    truth = classification.fingerprint(data, traits, recipe.trait)
    key = [truth, [volume.subject for volume in data.volumes], recipe.version]
    path = run.folder / f"{SCORES}-{which.replace(' ', '-')}.json"

    def work_out() -> list[dict[str, Any]]:
        return classification.test_rows(_best(run), data.volumes, traits, recipe)

    return kept_rows(path, key, work_out)[list(classification.TEST_COLUMNS)].astype({"subject": str})


def mean_dice(scores: pd.DataFrame) -> float:
    """Mean over the classes of a subject, then over subjects; NaN scores are left out."""
    return float(scores.groupby("subject")["dice"].mean().mean())


def _best(run: Run) -> Method:
    """The best weights where networks run; what they find comes back to the CPU."""
    return best_method(run, networks_device())


def _path(run: Run, which: str) -> Path:
    return run.folder / f"{SCORES}-{which.replace(' ', '-')}.json"


def _key(data: Prepared) -> list[Any]:
    return [data.fingerprint, [volume.subject for volume in data.volumes], segmentation.Recipe.version]


def kept_rows(path: Path, key: Sequence[Any], work_out: Callable[[], list[dict[str, Any]]]) -> pd.DataFrame:
    """Rows that stand in a file under ``key``; else they are worked out and kept there."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("of") != key:
        table = pd.DataFrame(work_out())
        kept = {"of": key, "rows": json.loads(table.to_json(orient="records", double_precision=15))}
        atomic.write_json(path, kept)
    return pd.DataFrame(kept["rows"])
