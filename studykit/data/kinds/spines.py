"""``spine-SCHEME:PATH``: a folder with label maps of single vertebrae, read as two classes in turn.

The folder may lie as ``folder:PATH`` may: VerSe in BIDS (``rawdata``, ``derivatives``) or as its challenge
had it, SPIDER (``images``, ``masks``), nnU-Net's.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.cohorts.vertebrae import SPINE_SCHEMES, in_turn
from studykit.data.files.digests import text_sha256
from studykit.data.files.folder import MODALITIES
from studykit.data.files.refs import Collection, Subject
from studykit.data.kinds.folder import Folder
from studykit.data.kinds.kind import Source

if TYPE_CHECKING:
    from studykit.data.volumes.cache import Prepared

VERSION = 1
"""Raised when the same label maps give other classes than before."""

NEITHER = frozenset("pet pt fdg spect nm us xa cr dx mg xr xray".split())
"""Words for what is neither CT nor MR."""


class Spines(Folder):
    prefix = "spine-"

    def lines(self) -> tuple[Source, ...]:
        (folder,) = super().lines()
        holds = (
            f"your own CT or MR of spines, one id a vertebra; SCHEME is one of {', '.join(SPINE_SCHEMES)}; "
            "classes: odd and even vertebrae"
        )
        return (replace(folder, name="spine-SCHEME:PATH", holds=holds),)

    def knows(self, name: str) -> bool:
        scheme, _, path = name.removeprefix(self.prefix).partition(":")
        if scheme not in SPINE_SCHEMES or not path:
            raise ValueError(
                f"a folder of spines is named spine-SCHEME:PATH, SCHEME being one of "
                f"{', '.join(SPINE_SCHEMES)}; got {name!r}"
            )
        return True

    def path(self, name: str) -> Path:
        return Path(name.removeprefix(self.prefix).partition(":")[2]).expanduser().absolute()

    def open(self, name: str, cache: Path) -> Collection:
        found = super().open(name, cache)
        other = SPINE_SCHEMES[_scheme(name)].modality
        return replace(found, subjects=tuple(_with_modality(subject, other) for subject in found.subjects))

    def prepare_labelled(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        from studykit.data.volumes.grids import spacing

        prepared, scheme = super().prepare_labelled(name, spacing_mm, cache), _scheme(name)
        volumes = tuple(
            replace(
                v, labels=in_turn(v.labels, scheme, spacing(v.affine)[2], f"{v.subject} ({v.labels_path})")
            )
            for v in prepared.volumes
        )
        fingerprint = text_sha256(json.dumps([prepared.fingerprint, scheme, VERSION]))
        return replace(prepared, volumes=volumes, fingerprint=fingerprint)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        return dict(enumerate(SPINE_SCHEMES[_scheme(name)].classes, start=1))


def _scheme(name: str) -> str:
    return name.removeprefix(Spines.prefix).partition(":")[0]


def _with_modality(subject: Subject, other: str) -> Subject:
    """The subject with its modality, ``other`` where it does not say.

    Raises:
        ValueError: it is neither CT nor MR.
    """
    words = set(re.split(r"[_\-. ]", Path(subject.image.name).name.lower()))
    strange = sorted(words & NEITHER)
    if subject.modality not in {*MODALITIES.values(), "unknown"}:
        strange = [subject.modality]
    if strange:
        raise ValueError(
            f"{subject.id} ({subject.image.name}) is {strange[0].upper()}; spines are read from CT or MR"
        )
    return replace(subject, modality=other) if subject.modality == "unknown" else subject


KIND = Spines()
