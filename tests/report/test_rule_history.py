"""A rule's commit in a small history, and that every committed verdict came after its rule."""

import subprocess
from dataclasses import replace

import pytest

from studykit.claims.paper import find_claim, load_papers
from studykit.home import results_dir
from studykit.report.evidence import gather
from studykit.report.rule_history import precedes, rule_commit

CLAIM = find_claim("bertswin/full-grid")
TEXT = '[[claims]]\nid = "full-grid"\nsentence = "{}"\n[claims.rule]\nmetric = "{}"\n'


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(sentence, metric):
        file = tmp_path / "papers" / "bertswin" / "paper.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEXT.format(sentence, metric))
        git("add", ".")
        git("commit", "-q", "-m", f"{sentence} {metric}")
        return git("rev-parse", "HEAD")

    git("init", "-q")
    return tmp_path, commit


def test_the_rule_dates_from_its_last_change_whatever_else_changed(repository):
    root, commit = repository
    commit("It is fast.", "time")
    changed = commit("It is fast.", "steps")
    commit("It is quick.", "steps")
    assert rule_commit(CLAIM, root).commit == changed


def test_a_rule_that_came_back_dates_from_its_return(repository):
    root, commit = repository
    commit("It is fast.", "steps")
    commit("It is fast.", "time")
    back = commit("It is fast.", "steps")
    assert rule_commit(CLAIM, root).commit == back


def test_a_change_that_is_not_committed_has_no_commit(repository):
    root, commit = repository
    commit("It is fast.", "steps")
    (root / "papers" / "bertswin" / "paper.toml").write_text(TEXT.format("It is fast.", "time"))
    assert rule_commit(CLAIM, root) is None


def test_without_a_history_or_the_claim_there_is_no_commit(repository, tmp_path_factory):
    root, commit = repository
    commit("It is fast.", "steps")
    assert rule_commit(replace(CLAIM, id="other"), root) is None
    assert rule_commit(CLAIM, tmp_path_factory.mktemp("plain")) is None


def test_commits_in_order(repository):
    root, commit = repository
    first, second = commit("It is fast.", "time"), commit("It is fast.", "steps")
    assert precedes(first, second, root) and precedes(first, first, root)
    assert precedes(second, first, root) is False
    assert precedes("0" * 40, second, root) is None


def test_every_committed_verdict_came_after_its_rule():
    checked = 0
    for evidence in gather(results_dir(), load_papers()):
        commit = evidence.record and evidence.record.provenance["commit"]
        since = rule_commit(evidence.claim)
        if not commit or since is None or precedes(since.commit, commit) is None:
            continue
        checked += 1
        assert precedes(since.commit, commit), f"{evidence.claim.key}: its rule was changed after its run"
        for run in evidence.record.provenance["runs"]:
            assert precedes(since.commit, run["commit"]), (
                f"{evidence.claim.key}: a run is older than its rule"
            )
    if not checked:
        pytest.skip("no verdict whose commits are in this history")
