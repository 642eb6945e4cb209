"""Probes of frozen encoders on the traits of a study, kept with the run whose encoder it is."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from studykit.data.traits import Traits, has_traits, open_traits
from studykit.data.volumes.cache import PreparedVolume
from studykit.probes.attentive import attentive_probe
from studykit.probes.classification import probe_scores, volume_features, volume_tokens
from studykit.runs.store import Run
from studykit.runs.weights import networks_device, trained_method
from studykit.study.labelled_ground import TraitsGround
from studykit.study.scores import kept_rows, sources_to_test, volumes_to_test
from studykit.tasks.classification import fingerprint, images_of

VERSION = 2
"""Raised when a probe of the same weights gives other scores than before."""
ATTENTIVE_VERSION = 1
"""The same for :func:`attentive_scores`."""
ATTENTIVE_STEPS = 200
VALIDATION = "validation"
ATTENTIVE_COLUMNS = ("trait", "subject", "score", "label")
COLUMNS = ("test", "trait", "features", "labels", "subject", "score", "label")


def frozen_scores(run: Run, ground: TraitsGround) -> pd.DataFrame:
    """Scores of linear probes on a run's last encoder: of each trait, each share of labels, each feature.

    Returns:
        ``test`` (``validation`` among them), ``trait``, ``features``, ``labels`` (their share), ``subject``,
        ``score`` (probability of the trait's second class) and ``label``.
    """
    path = run.folder / "frozen.json"
    device = networks_device()
    rows = kept_rows(path, _key(ground), lambda: probe_rows(trained_method(run, device), ground))
    return rows[list(COLUMNS)]


def probe_rows(method: nn.Module, ground: TraitsGround) -> list[dict[str, Any]]:
    """As :func:`frozen_scores`, of any method; its rows."""
    seen = ground.data.select(ground.split.train)
    own = volume_features(method, _images(ground, seen))
    place = {volume.subject: i for i, volume in enumerate(seen)}
    rows = []
    for which, volumes, traits in _tests(ground):
        tested = [volume.subject for volume in volumes]
        features = volume_features(method, _images(ground, volumes))
        for trait, share, kind in product(ground.traits.names, ground.label_subsets, own):
            labelled = ground.traits.having(trait, ground.label_subsets[share])
            known = np.array(ground.traits.numbers(trait, labelled))
            scores = probe_scores(own[kind][[place[s] for s in labelled]], known, features[kind])
            head = {"test": which, "trait": trait, "features": kind, "labels": share}
            truth = _numbers(traits, trait, tested)
            rows += [
                head | {"subject": subject, "score": float(score), "label": truth[subject]}
                for subject, score in zip(tested, scores, strict=True)
                if subject in truth
            ]
    return rows


def attentive_scores(run: Run, ground: TraitsGround) -> pd.DataFrame:
    """Scores of attentive probes on a run's last encoder: of each trait, all labels, held-out subjects.

    Returns:
        ``trait``, ``subject``, ``score`` (probability of the trait's second class) and ``label``.
    """
    path, key = run.folder / "attentive.json", [ATTENTIVE_VERSION, *_key(ground)]
    device = networks_device()
    rows = kept_rows(path, key, lambda: attentive_rows(trained_method(run, device), ground))
    return rows[list(ATTENTIVE_COLUMNS)]


def attentive_rows(method: nn.Module, ground: TraitsGround) -> list[dict[str, Any]]:
    """As :func:`attentive_scores`, of any method; its rows."""
    seen, held_out = (ground.data.select(part) for part in (ground.split.train, ground.split.test))
    own, tokens = (volume_tokens(method, _images(ground, volumes)) for volumes in (seen, held_out))
    who, tested = ([volume.subject for volume in volumes] for volumes in (seen, held_out))
    rows = []
    for trait in ground.traits.names:
        known, scored = (_numbers(ground.traits, trait, subjects) for subjects in (who, tested))
        classes = [known.get(subject, -1) for subject in who]
        found = attentive_probe(own, classes, tokens, seed=0, steps=ATTENTIVE_STEPS)
        rows += [
            {"trait": trait, "subject": subject, "score": float(score), "label": scored[subject]}
            for subject, score in zip(tested, found.scores[:, 1], strict=True)
            if subject in scored
        ]
    return rows


def _numbers(traits: Traits, trait: str, subjects: Sequence[str]) -> dict[str, int]:
    """Subject → class, of those whose class is known."""
    known = traits.having(trait, subjects)
    return dict(zip(known, traits.numbers(trait, known), strict=True))


def _tests(ground: TraitsGround) -> list[tuple[str, Sequence[PreparedVolume], Traits]]:
    """Name, volumes and traits of the validation and of every test."""
    tests = [(VALIDATION, ground.data.select(ground.split.val), ground.traits)]
    for name, source in _told(ground).items():
        tests.append((name, volumes_to_test(ground, name).prepared.volumes, open_traits(source)))
    return tests


def _told(ground: TraitsGround) -> dict[str, str]:
    """The tests of whose subjects traits are known."""
    return {name: source for name, source in sources_to_test(ground).items() if has_traits(source)}


def _images(ground: TraitsGround, volumes: Sequence) -> Any:
    return images_of(volumes, ground.profile.crop_size, constant_background=ground.setup.constant_background)


def _key(ground: TraitsGround) -> list[Any]:
    truth = [fingerprint(ground.data, ground.traits, trait) for trait in ground.traits.names]
    subsets = {f"{share:g}": list(subjects) for share, subjects in ground.label_subsets.items()}
    return [VERSION, truth, _told(ground), list(ground.split.val), list(ground.split.test), subsets]
