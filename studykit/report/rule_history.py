"""Since which commit a claim's rule has read as it does: what shows that it was written before its runs."""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from studykit import home
from studykit.claims.paper import Claim
from studykit.runs.provenance import ROOT, git


@dataclass(frozen=True)
class RuleCommit:
    """The commit that gave a rule its present form.

    Attributes:
        commit: 40 hex digits.
        written: when it was committed.
    """

    commit: str
    written: datetime


def rule_commit(claim: Claim, root: Path | None = None) -> RuleCommit | None:
    """The oldest commit from which on, up to now, the claim's rule reads as it does.

    It is looked up where the papers are, in the history of a clone or of a workspace, unless told otherwise.

    Which study and notebook a claim belongs to is no part of its rule.

    Returns:
        None without git or its history, or where the rule was changed and not committed yet.
    """
    root = home.home() if root is None else root
    path = f"papers/{claim.paper}/paper.toml"
    history = git(root, "log", "--format=%H %cI", "--", path)
    file = root / path
    if not history or not file.is_file():
        return None
    now = _rule(file.read_text(encoding="utf-8"), claim.id)
    found = None
    for line in history.splitlines():
        commit, written = line.split()
        then = git(root, "show", f"{commit}:{path}")
        if now is None or then is None or _rule(then, claim.id) != now:
            break
        found = RuleCommit(commit, datetime.fromisoformat(written))
    return found


def claim_at(claim: Claim, commit: str, root: Path = ROOT) -> dict[str, Any] | None:
    """The claim's table in ``paper.toml`` as of a commit; None where git does not know one of them."""
    text = git(root, "show", f"{commit}:papers/{claim.paper}/paper.toml")
    return None if text is None else _claim(text, claim.id)


def _rule(text: str, claim_id: str) -> dict[str, Any] | None:
    return (_claim(text, claim_id) or {}).get("rule")


def _claim(text: str, claim_id: str) -> dict[str, Any] | None:
    try:
        claims = tomllib.loads(text).get("claims", [])
    except tomllib.TOMLDecodeError:
        return None
    return next((claim for claim in claims if claim.get("id") == claim_id), None)
