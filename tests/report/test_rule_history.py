"""A rule's commit in a small history, and that every committed verdict came after its rule."""

import subprocess
from dataclasses import replace

import pytest

from studykit.arms.setups import profile_of, setup_of
from studykit.claims.paper import find_claim, load_papers
from studykit.home import results_dir
from studykit.report.evidence import gather
from studykit.report.rule_history import claim_at, precedes, rule_commit

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


def test_a_claim_is_found_as_it_was(repository):
    root, commit = repository
    first = commit("It is fast.", "time")
    commit("It is quick.", "steps")
    assert claim_at(CLAIM, first, root)["rule"] == {"metric": "time"}
    assert claim_at(replace(CLAIM, id="other"), first, root) is None
    assert claim_at(CLAIM, "0" * 40, root) is None


def judged_here():
    """Evidence whose commits are in this history."""
    for evidence in gather(results_dir(), load_papers()):
        commit = evidence.record and evidence.record.provenance["commit"]
        if commit and claim_at(evidence.claim, commit) is not None:
            yield evidence, commit


def test_a_rule_that_came_after_its_runs_says_so():
    checked = 0
    for evidence, commit in judged_here():
        since = rule_commit(evidence.claim)
        if since is None:
            continue
        checked += 1
        runs = [run["commit"] for run in evidence.record.provenance["runs"]]
        before = all(precedes(since.commit, run) for run in (commit, *runs))
        told = any(deviation.results_known for deviation in evidence.claim.deviations)
        assert before or told, f"{evidence.claim.key}: its rule was changed after a run"
    if not checked:
        pytest.skip("no verdict whose commits are in this history")


def test_the_first_protocols_rules_and_studies_stood_before_their_runs():
    for evidence, commit in judged_here():
        claim = evidence.claim
        for run in (commit, *(run["commit"] for run in evidence.record.provenance["runs"])):
            then = claim_at(claim, run)
            if evidence.record.first is None or then is None:
                continue
            assert _plain(then["rule"]) == _plain(claim.first.rule), f"{claim.key} at {run}"
            moved = any("Moved from" in deviation.what for deviation in claim.deviations)
            assert then["study"] == claim.study or moved, f"{claim.key} at {run}"


def _plain(rule):
    return {key: value.strip() if isinstance(value, str) else value for key, value in rule.items()}


def test_the_data_of_every_verdict_are_those_of_its_study_or_of_one_that_it_reads():
    for evidence in gather(results_dir(), load_papers()):
        if evidence.record and evidence.record.data:
            others = {reading.study for reading in evidence.claim.readings} - {""}
            setups = [setup_of(study) for study in (evidence.claim.study, *others)]
            sources = [setup.source_at(profile_of(setup, evidence.profile)) for setup in setups]
            assert evidence.record.data.startswith(tuple(f"{s} at " for s in sources)), evidence.claim.key
