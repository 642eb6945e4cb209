"""A bundle: one file for a machine that has no network, which runs studies there and packs what comes back.

studykit-bundle/   bundle.json  run.sh  source/  carried/  wheels/
"""

import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from studykit import atomic, home
from studykit.arms.ownership import own_parameters
from studykit.arms.profiles import check_profile
from studykit.bundle.manifest import COMMIT, FILE, Manifest, Needs, rules_of
from studykit.bundle.sources import volumes_of
from studykit.bundle.volumes import carry
from studykit.bundle.wheels import fetch_wheels, least_version, missing_wheels
from studykit.notebooks.catalogue import check_parameters, notebook_of, study_of
from studykit.runs.provenance import git, git_state
from studykit.runs.shares import CARD_BYTES

ROOT = "studykit-bundle"
NEEDS = {"smoke": (2, 0, 1), "laptop": (4, 0, 2), "gpu": (16, 16, 12), "paper": (64, 64, 50)}
"""By profile: GiB of memory, of a card's memory, and of disk that have to be free; cautious, not measured."""
CARRIED = ("studykit", "papers", "tests", "benchmarks", "pyproject.toml", "LICENSE")
CARD_PROFILES = ("gpu", "paper")


@dataclass(frozen=True)
class Bundled:
    """A bundle as it was written.

    Attributes:
        megabytes: what its parts take in it, by part.
        volumes, wheels: how many it carries.
    """

    path: Path
    manifest: Manifest
    megabytes: dict[str, float]
    volumes: int
    wheels: int


def bundle(
    out: Path,
    studies: Sequence[str],
    *,
    further: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    profile: str,
    minutes: float,
    on_a_card: int = 1,
    python: str,
    platform: str,
    has: Sequence[str],
    limit_mb: float,
    beside_mb: float = 0,
) -> Bundled:
    """Write a bundle of some studies.

    Args:
        out: the file, a compressed tar.
        studies: to run there, in this order.
        further: studies to run once more after those, with parameters of their notebooks, such as volumes of
            another kind: what comes of it is one's own, and stands beside the evidence.
        minutes: for everything that is to be done there.
        on_a_card: runs that train side by side on one card; the card has to have the memory for all.
        python, platform: of the machine, as pip names them.
        has: packages that the machine has, and with them what they need.
        limit_mb: the most that the file may take, and what travels with it.
        beside_mb: what travels with it, such as a working tree.

    Raises:
        ValueError: an unknown study, profile or parameter, a further run that would be the same, no checkout
            or one without a commit, volumes that are not carried, or a file beyond the limit; nothing is left
            then.
        RuntimeError: pip cannot bring a wheel.
    """
    if not (home.home() / "pyproject.toml").is_file():
        raise ValueError(f"{home.home()} is a workspace: a bundle takes its source from a clone")
    check_profile(profile)
    stems = list(dict.fromkeys(notebook_of(name) for name in studies))
    own = tuple(study_of(stem) for stem in stems)
    again = {study_of(notebook_of(name)): dict(given) for name, given in further.items()}
    for study, given in again.items():
        check_parameters(notebook_of(study), given)
        if not own_parameters(study, profile, given):
            raise ValueError(f"{study} once more has to differ in its volumes or seeds; got {given}")
    if not minutes > 0:
        raise ValueError(f"minutes must be above 0, got {minutes:g}")
    if on_a_card < 1:
        raise ValueError(f"on_a_card is a number of runs, at least 1; got {on_a_card}")
    rules, state = rules_of({**dict.fromkeys(own), **again}), git_state(home.home())
    if state["commit"] is None:
        raise ValueError(
            f"{home.home()} is no git checkout: what comes back could not be told whose code it is"
        )
    memory, card, disk = NEEDS[profile]
    card = max(card, on_a_card * CARD_BYTES // 2**30)
    needs = Needs(python, least_version("torch"), profile in CARD_PROFILES, memory, card, disk)
    with tempfile.TemporaryDirectory(prefix="studykit-", dir=_folder_of(out)) as name:
        root = Path(name) / ROOT
        wheels = fetch_wheels(missing_wheels(has, python), root / "wheels", python, platform)
        asked = [*((stem, {}) for stem in stems), *again.items()]
        wanted = dict.fromkeys(one for name, given in asked for one in volumes_of(name, profile, given))
        rounded = carry(wanted, root / "carried")
        manifest = Manifest(
            state["commit"], state["dirty"], own, again, profile, minutes, on_a_card, rules, rounded, needs
        )
        volumes = len(list((root / "carried").glob("volumes/*")))
        books = dict.fromkeys(notebook_of(name) for name, _ in asked)
        _copy_source(root / "source", [f"notebooks/{stem}.ipynb" for stem in books])
        atomic.write_json(root / "source" / COMMIT, state)
        atomic.write_json(root / FILE, manifest.to_dict())
        shutil.copy(root / "source" / "studykit" / "bundle" / "run.sh", root / "run.sh")
        packed = Path(name) / "packed"
        sizes = _write(root, packed)
        total = packed.stat().st_size / 1e6
        if total + beside_mb > limit_mb:
            parts = ", ".join(f"{part} {size:.1f}" for part, size in sizes.items())
            beside = f" beside {beside_mb:g} MB" if beside_mb else ""
            raise ValueError(
                f"the bundle takes {total:.1f} MB{beside}, {limit_mb:g} may go in ({parts}): name fewer "
                "studies, a profile of larger voxels, or more of what the machine --has"
            )
        shutil.move(packed, out)
    return Bundled(out, manifest, sizes, volumes, len(wheels))


def _folder_of(out: Path) -> Path:
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    return folder


def _copy_source(into: Path, notebooks: Sequence[str]) -> None:
    """The files that git does not ignore, as they lie; of the notebooks those that are to run."""
    root = home.home()
    listed = (
        git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *CARRIED, *notebooks)
        or ""
    )
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, into / name)


def _write(root: Path, packed: Path) -> dict[str, float]:
    """Pack a folder; gives the megabytes that each part adds to the file."""
    sizes = {}
    with open(packed, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
        for part in sorted(root.iterdir()):
            before = file.tell()
            tar.add(part, f"{ROOT}/{part.name}")
            sizes[part.name] = (file.tell() - before) / 1e6
    return sizes
