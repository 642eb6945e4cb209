"""``rsna:PATH``: the user's copy of RSNA 2025 Intracranial Aneurysm Detection.

Images alone pre-train. With labels, each of the challenge's points is a ball of the class of its place, see
:func:`studykit.data.angiography.rsna.localizer_map`; series without a point are all background.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import Collection
from studykit.data.kinds.kind import Source, SourceKind

if TYPE_CHECKING:
    from studykit.data.angiography.subjects import Row
    from studykit.data.volumes.cache import Prepared


class Rsna(SourceKind):
    prefix = "rsna:"
    origin = "own"
    labelled = True
    with_aneurysms = True

    def lines(self) -> tuple[Source, ...]:
        return (
            Source(
                "rsna:PATH",
                "your copy of RSNA 2025 Intracranial Aneurysm Detection: train.csv, train_localizers.csv, "
                "series/UID/*.dcm; CTA, MRA and MR of the head, points on aneurysms at 13 places",
                None,
                0,
                "RSNA's terms for the challenge",
                "RSNA 2025 Intracranial Aneurysm Detection",
                "read where it lies, after you registered with the challenge",
            ),
        )

    def open(self, name: str, cache: Path) -> Collection:
        from studykit.data.angiography.rsna import open_rsna_aneurysm

        return replace(open_rsna_aneurysm(self.path(name), cache=cache).collection, name=name)

    def prepare_labelled(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        from studykit.data.angiography.rsna import RADIUS_MM, localizer_map, open_rsna_aneurysm
        from studykit.data.files.errors import BadVolume
        from studykit.data.volumes.cache import Refused

        prepared = self.prepare(name, spacing_mm, "auto", cache)
        cases = {case.uid: case for case in open_rsna_aneurysm(self.path(name), cache=cache).cases}
        volumes, refused = [], []
        for volume in prepared.volumes:
            case = cases[volume.subject]
            try:
                labels = localizer_map(case, volume.array.shape, volume.affine)
            except BadVolume as error:
                refused.append(Refused(volume.subject, error.path, error.reason))
                warnings.warn(f"left out {volume.subject}: {error}", stacklevel=3)
                continue
            place = str(self.path(name) / "train_localizers.csv")
            volumes.append(replace(volume, labels=labels, labels_path=place))
        points = [[v.subject, [astuple(p) for p in cases[v.subject].localizers]] for v in volumes]
        fingerprint = text_sha256(json.dumps([prepared.fingerprint, RADIUS_MM, points]))
        return replace(
            prepared,
            volumes=tuple(volumes),
            refused=(*prepared.refused, *refused),
            fingerprint=fingerprint,
        )

    def aneurysms(self, name: str, spacing_mm: float, cache: Path) -> "tuple[Prepared, tuple[Row, ...]]":
        from studykit.data.angiography.rsna import open_rsna_aneurysm
        from studykit.data.angiography.subjects import SeriesRow

        prepared = self.prepare_labelled(name, spacing_mm, cache)
        cases = open_rsna_aneurysm(self.path(name), cache=cache).cases
        return prepared, tuple(SeriesRow(case.uid, case.labels) for case in cases)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        from studykit.data.angiography.sites import SITES

        return dict(enumerate(SITES, start=1))


KIND = Rsna()
