"""Is evidence of today's rule, code, data and environment? Asked of git, without opening a study.

A verdict names the commit that it was concluded at. What decides numbers is declared in the source: versions
of methods, models, losses and recipes (they are part of a run's identity), versions of what prepares and
draws volumes, digests of archives. They are read at that commit and as they stand now, and compared.
"""

import ast
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from studykit.arms.profiles import PROFILES
from studykit.arms.setups import profile_of, setup_of
from studykit.claims.claim import Claim, Paper
from studykit.claims.words import ABSENT
from studykit.notebooks.catalogue import notebooks
from studykit.report.record import FILE, Record, read_verdicts
from studykit.report.rule_history import ROOT, claim_at
from studykit.runs.provenance import PACKAGES, git
from studykit.runs.run_table import read_run_table
from studykit.runs.store import STATUS

HEAD = ("study", "profile", "claims", "rule", "code", "data", "environment", "cost of a refresh")
SAME, UNKNOWN = "same", "not known"
NOTHING = "no evidence yet"

_CLASS = re.compile(r"class (\w+)")
_VERSION = re.compile(r"\s*(version|\w*VERSION)(?:: ClassVar\[int\])? = (\d+)(?:\s*#.*)?")
_DIGEST = re.compile(r'"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Freshness:
    """How the evidence of a study at a profile stands to what is here now.

    Attributes:
        study, profile: whose evidence.
        claims: how many it concluded.
        rule, code, data, environment: ``same``, what changed, or that it is not known.
        refresh: what its runs cost, and how many of them are at hand.
    """

    study: str
    profile: str
    claims: str
    rule: str
    code: str
    data: str
    environment: str
    refresh: str


def freshness(results: Path, papers: Mapping[str, Paper], root: Path = ROOT) -> list[Freshness]:
    """One row for each study and profile with evidence, and one for each study without.

    Args:
        results: folder of the evidence.
        papers: as :func:`studykit.claims.paper.load_papers` gives them.
        root: of the checkout, whose history is asked.

    Raises:
        ValueError: a ``verdict.json`` is broken.
    """
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    rows = []
    for study in dict.fromkeys(claim.study for claim in claims.values()):
        own = [_row(results, study, profile, claims, root) for profile in PROFILES if profile != "smoke"]
        found = [row for row in own if row is not None]
        rows += found or [Freshness(study, ABSENT, "0", *[ABSENT] * 4, NOTHING)]
    return rows


def _row(
    results: Path, study: str, profile: str, claims: Mapping[str, Claim], root: Path
) -> Freshness | None:
    folder = results / study / profile
    if not (folder / FILE).is_file():
        return None
    records = [r for r in read_verdicts(folder, study, profile) if r.verdict.claim in claims]
    if not records:
        return None
    facts = max((record.provenance for record in records), key=lambda facts: facts["started"])
    then, now = declared(root, facts["commit"]), declared(root, None)
    return Freshness(
        study,
        profile,
        str(len(records)),
        _rule(records, claims, root),
        _changes(then, now, code_of(claims[records[0].verdict.claim].notebook)),
        _data(then, now, study, profile, records[0].data),
        "; ".join(environment_changes(facts)) or SAME,
        _refresh(results, folder, records),
    )


# ---- the rule


def _rule(records: Iterable[Record], claims: Mapping[str, Claim], root: Path) -> str:
    """How many of the rules read otherwise at their verdict's commit; those were judged again since."""
    records, changed = list(records), 0
    for record in records:
        claim, commit = claims[record.verdict.claim], record.provenance["commit"]
        then, now = claim_at(claim, commit or "", root), _claim_now(claim, root)
        if then is None or now is None:
            return UNKNOWN
        changed += then.get("rule") != now.get("rule")
    return f"{changed} of {len(records)} changed, judged again" if changed else SAME


def _claim_now(claim: Claim, root: Path) -> dict[str, Any] | None:
    import tomllib

    path = root / "papers" / claim.paper / "paper.toml"
    own = tomllib.loads(path.read_text(encoding="utf-8")).get("claims", []) if path.is_file() else []
    return next((entry for entry in own if entry.get("id") == claim.id), None)


# ---- what the source declares


@dataclass(frozen=True)
class Declared:
    """Versions by class or constant, and digests of archives, that a tree of the package declares."""

    versions: Mapping[str, int]
    digests: frozenset[str]


def declared(root: Path, commit: str | None) -> Declared | None:
    """What the package declares at a commit, or as it lies there; None where git does not know the commit."""
    if commit is None:
        return _declared(_lines_here(root / "studykit"))
    return _declared_at(root, commit)


@cache
def _declared_at(root: Path, commit: str) -> Declared | None:
    pattern = r"^class |ersion(: ClassVar\[int\])? = [0-9]+|VERSION = [0-9]+|\"[0-9a-f]{64}\""
    found = git(root, "grep", "-E", pattern, commit, "--", "studykit")
    return None if found is None else _declared(_lines_there(found))


def _lines_there(found: str) -> Iterator[tuple[str, str]]:
    """Path and text of each line that ``git grep`` found at a commit."""
    for line in found.splitlines():
        _, path, text = line.split(":", 2)
        yield path, text


def _lines_here(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.py")):
        for text in path.read_text(encoding="utf-8").splitlines():
            yield str(path), text


def _declared(lines: Iterable[tuple[str, str]]) -> Declared:
    versions: dict[str, int] = {}
    digests, owner = set(), ("", "")
    for path, text in lines:
        digests |= set(_DIGEST.findall(text))
        if found := _CLASS.match(text):
            owner = path, found[1]
        elif found := _VERSION.fullmatch(text):
            stem = PurePosixPath(path).stem
            if found[1] == "version":
                # Every task has its Recipe, told apart by the task's file.
                name = owner[1] if owner[1] != "Recipe" else f"{stem} Recipe"
            else:
                name = found[1] if found[1] != "VERSION" else f"{stem} VERSION"
            versions[name] = int(found[2])
    return Declared(versions, frozenset(digests))


@cache
def code_of(notebook: str) -> frozenset[str]:
    """Names under which the code of a notebook's arms declares its versions.

    Its methods, models and losses are those that it names; a method brings its usual model and its task.
    """
    from studykit.losses import LOSSES
    from studykit.methods import METHODS
    from studykit.models import MODELS

    if notebook not in notebooks():
        return frozenset()
    named = _strings(notebooks()[notebook])
    methods = [METHODS[name] for name in METHODS if name in named]
    models = {name for name in MODELS if name in named} | {method.architecture for method in methods}
    losses = {name for name in LOSSES if name in named or name == "l2"} if methods else set()
    found = {cls.__name__ for cls in (*methods, *(MODELS[n] for n in models), *(LOSSES[n] for n in losses))}
    return frozenset({*found, *(f"{method.task} Recipe" for method in methods), "TrainingConfig"})


def _strings(notebook: Path) -> set[str]:
    """Every string that the code of a notebook holds."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    trees = [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _changes(then: Declared | None, now: Declared, names: Iterable[str]) -> str:
    """Versions that were raised, of those that both declare."""
    if then is None:
        return UNKNOWN
    both = sorted(names & then.versions.keys() & now.versions.keys())
    raised = [name for name in both if then.versions[name] != now.versions[name]]
    return ", ".join(f"{name} {then.versions[name]} → {now.versions[name]}" for name in raised) or SAME


# ---- data and environment


def _data(then: Declared | None, now: Declared, study: str, profile: str, words: str) -> str:
    """Another source, other archives, or another version of what prepares and draws volumes."""
    if not words:
        return "none"
    setup = setup_of(study)
    source, was = setup.source_at(profile_of(setup, profile)), words.partition(" at ")[0]
    if source != was:
        return f"{was} → {source}"
    if then is None:
        return UNKNOWN
    if gone := len(then.digests - now.digests):
        return f"{gone} archives changed"
    return _changes(then, now, {name for name in now.versions if name.endswith("VERSION")})


def environment_changes(facts: Mapping[str, Any]) -> list[str]:
    """Packages and Python in other versions than a verdict's, and another processor or card."""
    from studykit.runs.provenance import hardware

    then = {"python": facts.get("python"), **facts["packages"]}
    now = {"python": platform.python_version(), **{name: _installed(name) for name in PACKAGES}}
    changes = [
        f"{name} {_plain(old)} → {_plain(now[name])}"
        for name, old in then.items()
        if name in now and old and _plain(old) != _plain(now[name])
    ]
    machine, here = facts["hardware"], hardware()
    if [gpu["name"] for gpu in machine["gpus"]] != [gpu["name"] for gpu in here["gpus"]]:
        changes.append("another card")
    if machine["cpu"] != here["cpu"]:
        changes.append("another processor")
    return changes


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _plain(version: str | None) -> str:
    """Without the build: 2.13.0+cpu is 2.13.0."""
    return str(version or "none").partition("+")[0]


# ---- what it would cost


def _refresh(results: Path, folder: Path, records: Iterable[Record]) -> str:
    """The cost of the runs that the evidence rests on, and how many of them the store holds."""
    cost = max((record.cost for record in records), key=lambda cost: (cost.gpu_hours, cost.cpu_hours))
    keys = {row["run"] for row in read_run_table(folder)}
    if not keys:
        return str(cost)
    held = sum((results / "runs" / key / STATUS).is_file() for key in keys)
    return f"{cost}; {held} of {len(keys)} runs at hand"
