"""Evidence against a small history: what was raised, changed or swapped since is named, and no more."""

import subprocess

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import find_claim, load_papers
from studykit.data.sources import DEFAULT_SOURCE
from studykit.notebooks import freshness as fresh
from studykit.runs.provenance import provenance

CLAIM = find_claim("bertswin/convergence-speedup")
SOURCE = """class BertsWin(Method):
    version = {}  # 1 had another norm
class Mvc(Loss):
    version = {}
DIGEST = "{}"
"""
PAPER = '[[claims]]\nid = "convergence-speedup"\n[claims.rule]\nmetric = "{}"\n'


@pytest.fixture
def repository(tmp_path):
    """A checkout with one source file and one rule; what commits it, and gives the commit."""
    root = tmp_path / "checkout"

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", root, *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(bertswin=1, mvc=1, digest="0" * 64, metric="steps", preparation=1):
        files = {
            "studykit/methods.py": SOURCE.format(bertswin, mvc, digest),
            "studykit/volumes.py": f"PREPARATION_VERSION = {preparation}\n",
            "papers/bertswin/paper.toml": PAPER.format(metric),
        }
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def commit():
        git("add", ".")
        git("commit", "-q", "-m", "a commit")
        return git("rev-parse", "HEAD")

    root.mkdir()
    git("init", "-q")
    write()
    return root, write, commit


@pytest.fixture
def concluded(repository, tiny, results, monkeypatch):
    """Concludes the tiny study at the present commit of the small history; gives the row of its freshness."""
    root, _, commit = repository
    then = commit()
    monkeypatch.setattr(
        "studykit.study.evidence.provenance", lambda: provenance() | {"commit": then, "dirty": False}
    )
    tiny("laptop", data=DEFAULT_SOURCE).conclude(CLAIM, Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))

    def row():
        rows = fresh.freshness(results, load_papers(), root)
        (own,) = [one for one in rows if one.study == CLAIM.study]
        return own

    return row


def test_nothing_changed(concluded):
    row = concluded()
    assert (row.profile, row.claims) == ("laptop", "1")
    assert (row.rule, row.code, row.environment) == ("same",) * 3 and row.refresh == "no compute"


def test_a_version_that_the_study_uses_is_named_and_another_is_not(concluded, repository):
    _, write, _ = repository
    write(bertswin=2, mvc=5)
    assert concluded().code == "BertsWin 1 → 2", "not committed yet, and not of this study's arms"


def test_a_rule_that_was_changed_counts(concluded, repository):
    _, write, _ = repository
    write(metric="seconds")
    assert concluded().rule == "1 of 1 changed, judged again"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "same"),
        ({"preparation": 2}, "PREPARATION_VERSION 1 → 2"),
        ({"digest": "1" * 64}, "1 archives changed"),
    ],
)
def test_other_volumes_are_named(repository, changes, said):
    root, write, commit = repository
    then = fresh.declared(root, commit())
    write(**changes)
    words = f"{DEFAULT_SOURCE} at 2 mm: 6 training"
    assert fresh._data(then, fresh.declared(root, None), CLAIM.study, "laptop", words) == said


def test_another_source_is_named_and_a_study_without_volumes_has_none(repository):
    root, _, commit = repository
    then = fresh.declared(root, commit())
    said = fresh._data(then, then, CLAIM.study, "laptop", "sample-bodies at 2 mm: 3 training")
    assert said == f"sample-bodies → {DEFAULT_SOURCE}"
    assert fresh._data(then, then, CLAIM.study, "laptop", "") == "none"


def test_an_unknown_commit_leaves_it_open(repository):
    root, _, _ = repository
    assert fresh.declared(root, "0" * 40) is None
    assert fresh._changes(None, fresh.declared(root, None), ["BertsWin"]) == "not known"


def test_an_environment_is_compared_without_its_build():
    facts = provenance()
    assert fresh.environment_changes(facts) == []
    older = facts | {
        "packages": facts["packages"] | {"torch": "2.8.0+cu128"},
        "hardware": facts["hardware"] | {"cpu": "another"},
    }
    torch, processor = fresh.environment_changes(older)
    assert torch.startswith("torch 2.8.0 → ") and "+" not in torch and processor == "another processor"


def test_the_code_of_a_notebook_is_what_its_arms_name():
    names = fresh.code_of("01_bertswin_convergence")
    assert {"BertsWin", "MaskedAutoencoder", "reconstruction Recipe", "TrainingConfig"} <= names
    assert not any("segmentation" in name or "Volta" in name for name in names)
    assert "segmentation Recipe" in fresh.code_of("09_nnformer_data_efficiency")


def test_every_name_of_the_code_declares_its_version_here():
    here = fresh.declared(fresh.ROOT, None).versions
    stems = {claim.notebook for paper in load_papers().values() for claim in paper.claims}
    used = {name for stem in stems for name in fresh.code_of(stem)}
    assert used and not used - here.keys()


def test_runs_at_hand_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(fresh, "read_run_table", lambda folder: [{"run": "a"}, {"run": "a"}, {"run": "b"}])
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "status.json").touch()

    class Paid:
        cost = fresh.Record.__dataclass_fields__["cost"].default_factory(1.5)

    assert fresh._refresh(tmp_path, tmp_path, [Paid()]) == "1.50 CPU core-hours; 1 of 2 runs at hand"
