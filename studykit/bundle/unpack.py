"""What came back from a machine is taken in: all of it or nothing, and only what our code could have made.

Names are checked against what :mod:`studykit.bundle.collect` packs, before anything is written; nothing but
plain files is taken, and no more of them than a run of a study makes.
"""

import gzip
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studykit import home
from studykit.arms.profiles import check_profile
from studykit.bundle.collect import BENCHMARKS, FAILED, ROOT, RUN_FILES, TIMINGS
from studykit.bundle.manifest import FILE, Manifest, read_manifest, rules_of
from studykit.claims.paper import load_papers
from studykit.data.files.digests import file_sha256
from studykit.report.judging import judge_record
from studykit.report.record import FILE as VERDICT
from studykit.report.record import read_verdicts
from studykit.runs.provenance import git
from studykit.runs.store import CONFIG, FINAL, STATUS, run_hash
from studykit.runs.threads import PROVENANCE

MOST_BYTES = 256 * 10**6
MOST_FILES = 20_000
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_RUN = "|".join(map(re.escape, RUN_FILES))
_TIMING = rf"{BENCHMARKS}/[a-z_]+-cuda\.({'|'.join(TIMINGS)})"
_PARTS = (
    r"bundle\.json",
    rf"logs/{_NAME}\.log",
    rf"runs/[0-9a-f]{{16}}/({_RUN})",
    rf"results/{_NAME}/{_NAME}/{_NAME}",
    _TIMING,
)
_EXPECTED = re.compile(rf"{ROOT}/({'|'.join(_PARTS)})")


@dataclass(frozen=True)
class Added:
    """What was taken in: folders of evidence and numbers of runs, and what was not, with the reason."""

    evidence: tuple[Path, ...]
    runs: int
    runs_here: int
    logs: Path | None
    left_out: tuple[str, ...]


def unbundle(path: Path) -> Added:
    """Take in what a bundle brought back.

    Runs that are here already stay as they are, and those that did not come to their end are left out.

    Raises:
        ValueError: it is not of this history or of these rules, holds what no bundle packs, says of a run or
            a verdict what is not so, or evidence lies in its place; nothing is changed then.
        OSError: the disk is full or cannot be written; nothing is changed.
    """
    results = home.results_dir()
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unbundle-", dir=results) as name:
        stage = Path(name)
        extract(path, stage)
        if not (stage / FILE).is_file():
            raise ValueError(f"{path} holds no {FILE}: it is nothing that run.sh packed")
        manifest = read_manifest(stage)
        check_origin(manifest)
        moves, evidence, left_out = _evidence(stage, manifest, results)
        runs, here, unfinished = _runs(stage, manifest, results / "runs")
        timings = _timings(stage, results / BENCHMARKS, left_out)
        if unfinished:
            left_out.append(f"{unfinished} runs that did not come to their end")
        logs = results / FAILED / f"back-{file_sha256(path)[:12]}"
        if (stage / "logs").is_dir() and not logs.exists():
            moves[stage / "logs"] = logs
        _move({**runs, **timings, **moves})
    return Added(tuple(evidence), len(runs), here, logs if logs.is_dir() else None, tuple(left_out))


def extract(path: Path, folder: Path) -> None:
    """The files of an archive below ``folder``, without the archive's own root.

    Raises:
        ValueError: a link, a device, a name that is none of ours or stands twice, more than a bundle brings
            back, or no readable archive.
    """
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=_Limited(unpacked), mode="r|") as tar:
            unpacked_bytes = 0
            for count, member in enumerate(tar):
                unpacked_bytes += member.size
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                    raise ValueError(f"{path}: {member.name!r} is no plain file")
                if not _EXPECTED.fullmatch(member.name):
                    raise ValueError(f"{path}: {member.name!r} is nothing that a bundle brings back")
                if count >= MOST_FILES or unpacked_bytes > MOST_BYTES:
                    raise ValueError(f"{path} holds more than a bundle brings back, from {member.name!r} on")
                target = folder / member.name.removeprefix(f"{ROOT}/")
                if target.exists():
                    raise ValueError(f"{path}: {member.name!r} stands twice")
                target.parent.mkdir(parents=True, exist_ok=True)
                file = tar.extractfile(member)
                assert file is not None
                with open(target, "wb") as out:
                    shutil.copyfileobj(file, out)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no archive that can be read: {error}") from error


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than :data:`MOST_BYTES`, so that no archive unpacks without end."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner, self._given = inner, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size if 0 <= size < MOST_BYTES else MOST_BYTES + 1)
        self._given += len(data)
        if self._given > MOST_BYTES:
            raise ValueError(f"the archive unpacks to more than {MOST_BYTES / 1e6:.0f} MB")
        return data


def check_origin(manifest: Manifest) -> None:
    """Refuse what was made by other code than this history has, or under other rules.

    Raises:
        ValueError: local changes, a commit that HEAD does not descend from, a study or a rule that is not
            what it was; the message says which.
    """
    if manifest.dirty:
        raise ValueError("it was made with local changes that no commit has: commit them, and bundle again")
    commit = manifest.commit
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"{FILE} names no commit: {commit!r}")
    if git(home.home(), "merge-base", "--is-ancestor", commit, "HEAD") is None:
        raise ValueError(f"it was made at commit {commit[:12]}, from which HEAD does not descend here")
    check_profile(manifest.profile)
    now = rules_of({**dict.fromkeys(manifest.studies), **manifest.further})
    other = sorted(key for key in {*now, *manifest.rules} if now.get(key) != manifest.rules.get(key))
    if other:
        raise ValueError(f"the rule is no longer what it was made for: {', '.join(other)}")


def _evidence(
    stage: Path, manifest: Manifest, results: Path
) -> tuple[dict[Path, Path], list[Path], list[str]]:
    """Folders to move and whither, those they become, and studies that concluded nothing."""
    claims = {claim.key: claim for paper in load_papers().values() for claim in paper.claims}
    moves, evidence, left_out = {}, [], []
    allowed = set(manifest.evidence)
    for folder in sorted((stage / "results").glob("*/*")):
        place = folder.parent.name, folder.name
        if place not in allowed:
            raise ValueError(f"evidence of {'/'.join(place)} is not what {FILE} says was run")
    for study, name in sorted(allowed):
        folder, target = stage / "results" / study / name, results / study / name
        if not (folder / VERDICT).is_file():
            left_out.append(f"{study} at {name}: it concluded nothing, the logs say why")
            continue
        if target.exists():
            raise ValueError(f"{target} is there already: move it away, or keep it")
        for record in read_verdicts(folder, study, manifest.profile):
            claim = claims.get(record.verdict.claim)
            if claim is None or claim.study != study:
                raise ValueError(f"{record.verdict.claim} is no claim of {study}")
            if (made := record.provenance.get("commit")) != manifest.commit:
                raise ValueError(f"the verdict on {claim.key} is of commit {made}, not of {manifest.commit}")
            if judge_record(claim, record, folder) != record.verdict:
                raise ValueError(f"the verdict on {claim.key} does not follow from its tables by its rule")
        shutil.copyfile(stage / FILE, folder / FILE)
        moves[folder] = target
        evidence.append(target)
    return moves, evidence, left_out


def _runs(stage: Path, manifest: Manifest, store: Path) -> tuple[dict[Path, Path], int, int]:
    """Runs to move and whither, the number of those that are here already, and of the unfinished."""
    moves, here, unfinished = {}, 0, 0
    for folder in sorted((stage / "runs").glob("*")):
        held = {}
        for name in (CONFIG, STATUS, PROVENANCE):
            try:
                held[name] = json.loads((folder / name).read_bytes())
            except (FileNotFoundError, ValueError) as error:
                raise ValueError(f"run {folder.name}: {name} cannot be read: {error}") from error
            if not isinstance(held[name], dict):
                raise ValueError(f"run {folder.name}: {name} is no object")
        if run_hash(held[CONFIG]) != folder.name:
            raise ValueError(f"run {folder.name} is not the configuration that it is named after")
        if (made := held[PROVENANCE].get("commit")) != manifest.commit:
            raise ValueError(f"run {folder.name} is of commit {made}, not of {manifest.commit}")
        if (store / folder.name).exists():
            here += 1
        elif held[STATUS].get("state") not in FINAL:
            unfinished += 1
        else:
            moves[folder] = store / folder.name
    return moves, here, unfinished


def _timings(stage: Path, here: Path, left_out: list[str]) -> dict[Path, Path]:
    """Tables of a card's timings to move and whither; those that are here already are left out."""
    moves = {path: here / path.name for path in sorted((stage / BENCHMARKS).glob("*"))}
    if there := sorted({path.stem for path in moves.values() if path.exists()}):
        left_out.append(f"timings that are here already: {', '.join(there)}; move them away to take them in")
    return {path: target for path, target in moves.items() if target.stem not in there}


def _move(moves: Mapping[Path, Path]) -> None:
    """Rename all of them or none."""
    with ExitStack() as undo:
        for source, target in moves.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(source, target)
            undo.callback(os.rename, target, source)
        undo.pop_all()
