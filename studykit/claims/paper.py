"""The papers of ``papers/`` and their claims, by name."""

import warnings
from pathlib import Path

from studykit import home
from studykit.claims.claim import Claim, Paper, Related, Reported
from studykit.claims.paper_file import read_paper
from studykit.claims.rule import Rule

__all__ = ["Claim", "Paper", "Related", "Reported", "Rule", "claims_of_study", "find_claim", "load_papers"]


def load_papers(folder: Path | None = None, *, strict: bool = False) -> dict[str, Paper]:
    """All papers below ``folder`` (default: the checkout's ``papers/``), by folder name, in its order.

    A paper that cannot be read disables its own claims only: it is left out with a warning, or else is
    refused.

    Raises:
        ValueError: ``strict``, and a ``paper.toml`` is malformed; the message names the file and the key.
        FileNotFoundError: ``strict``, and a paper's folder has no ``paper.toml``.
    """
    folder = home.papers_dir() if folder is None else Path(folder)
    papers = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        file = path / "paper.toml"
        try:
            if not file.is_file():
                raise FileNotFoundError(f"{path} has no paper.toml: write one, or move the folder elsewhere")
            papers[path.name] = read_paper(file)
        except (ValueError, FileNotFoundError) as error:
            if strict:
                raise
            warnings.warn(f"{error}; its claims are left out", stacklevel=2)
    return papers


def find_claim(key: str, folder: Path | None = None) -> Claim:
    """The claim of a key such as ``bertswin/convergence-speedup``.

    Raises:
        ValueError: no such paper or claim; the message lists the known ones.
    """
    folder = home.papers_dir() if folder is None else Path(folder)
    name, _, id = key.partition("/")
    if (folder / name / "paper.toml").is_file():
        return read_paper(folder / name / "paper.toml").claim(id)
    known = sorted(path.parent.name for path in folder.glob("*/paper.toml"))
    raise ValueError(f"unknown paper {name!r} in claim {key!r}; known papers: {', '.join(known)}")


def studies() -> tuple[str, ...]:
    """Names of all studies that a claim points to."""
    return tuple(dict.fromkeys(c.study for paper in load_papers().values() for c in paper.claims))


def claims_of_study(study: str, folder: Path | None = None) -> tuple[Claim, ...]:
    """The claims that a study settles, in the order of ``paper.toml``.

    Raises:
        ValueError: no claim names that study; the message lists those that are named.
    """
    claims = [claim for paper in load_papers(folder).values() for claim in paper.claims]
    found = tuple(claim for claim in claims if claim.study == study)
    if not found:
        known = sorted({claim.study for claim in claims})
        raise ValueError(f"no claim names the study {study!r}; studies with claims: {', '.join(known)}")
    return found
