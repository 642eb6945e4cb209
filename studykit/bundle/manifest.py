"""What a bundle says of itself: ``bundle.json``, which goes out with it and comes back with what it made."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from studykit.claims.paper import claims_of_study
from studykit.home import OWN

FILE = "bundle.json"
COMMIT = "commit.json"
"""In the root of a carried checkout, which has no git: see :func:`studykit.runs.provenance.git_state`."""


@dataclass(frozen=True)
class Needs:
    """What a machine has to have before any work begins; memory and disk in GiB, free."""

    python: str
    torch: str
    cuda: bool
    memory_gib: float
    gpu_gib: float
    disk_gib: float


@dataclass(frozen=True)
class Manifest:
    """What is in a bundle, and what it is to do.

    Attributes:
        commit, dirty: of the checkout that it was made from, as provenance has them.
        studies: to run, in this order.
        further: studies that run once more after those, with parameters of their notebooks, by name.
        minutes: for all of it: tests, benchmarks, trainings, packing.
        on_a_card: runs that train side by side on one card.
        rules: digest of each claim's rule.
        rounded_by: largest change of a carried voxel, in deviations of its volume: volumes travel in half
            precision. 0 where none is carried.
        needs: what the machine has to have.
    """

    commit: str
    dirty: bool
    studies: tuple[str, ...]
    further: dict[str, dict[str, Any]]
    profile: str
    minutes: float
    on_a_card: int
    rules: dict[str, str]
    rounded_by: float
    needs: Needs

    @property
    def evidence(self) -> tuple[tuple[str, str], ...]:
        """Study and folder below it of all that is concluded: a further run is one's own, beside evidence."""
        judged = [(study, self.profile) for study in self.studies]
        return (*judged, *((study, f"{self.profile}{OWN}") for study in self.further))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_text(cls, text: str | bytes) -> "Manifest":
        """The inverse of :meth:`to_dict`, from JSON.

        Raises:
            ValueError: a missing or unknown key, a value of another kind, or no JSON.
        """
        values = json.loads(text)
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != known:
            raise ValueError(f"{FILE} has not the keys {', '.join(sorted(known))}")
        kinds = {
            "commit": str,
            "dirty": bool,
            "studies": list,
            "further": dict,
            "profile": str,
            "on_a_card": int,
            "rules": dict,
        }
        strange = [name for name, kind in kinds.items() if not isinstance(values[name], kind)]
        if strange:
            raise ValueError(f"{FILE}: {strange[0]} is {values[strange[0]]!r}")
        try:
            needs = Needs(**values["needs"])
        except TypeError as error:
            raise ValueError(f"{FILE}: needs: {error}") from error
        return cls(**{**values, "studies": tuple(values["studies"]), "needs": needs})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an unpacked bundle."""
    return Manifest.from_text((folder / FILE).read_bytes())


def rules_of(studies: Iterable[str]) -> dict[str, str]:
    """Claim → digest of its rule, of every claim of some studies."""
    claims = [claim for study in studies for claim in claims_of_study(study)]
    return {claim.key: _digest(asdict(claim.rule)) for claim in claims}


def _digest(rule: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()[:16]
