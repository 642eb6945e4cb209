"""A rule's commit in a small history, and that every committed verdict came after its rule."""

import functools
import subprocess
from dataclasses import replace
from datetime import date

import pytest
from design_history import precedes as _precedes

from studykit.arms.setups import profile_of, setup_of
from studykit.claims.claim import Deviation
from studykit.claims.paper import find_claim, load_papers
from studykit.home import results_dir
from studykit.report.evidence import gather
from studykit.report.rule_history import ROOT, claim_at, rule_commit

precedes = functools.cache(_precedes)

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


def test_where_its_numbers_are_read_is_no_part_of_a_rule(repository):
    root, commit = repository
    written = commit("It is fast.", "steps")
    file = root / "papers" / "bertswin" / "paper.toml"
    file.write_text(file.read_text() + '[[claims.readings]]\nof = "estimate"\ntable = "t.csv"\n')
    assert rule_commit(CLAIM, root).commit == written


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


def excuses(deviation, run, rule, root=ROOT):
    """Whether a change is the one that gave a rule its form after a run: it starts between the two."""
    since_run = run.startswith(deviation.commit) or not precedes(deviation.commit, run, root)
    before_rule = precedes(deviation.commit, rule, root) and not rule.startswith(deviation.commit)
    return deviation.results_known and since_run and before_rule


def test_a_change_excuses_only_the_rule_that_came_of_it(repository):
    root, commit = repository
    old, run, last, rule, later = (commit("It is fast.", metric) for metric in "abcde")

    def change(commit, known=True):
        return Deviation(date(2026, 11, 28), commit, "Another metric.", known, None, None)

    assert excuses(change(last), run, rule, root) and excuses(change(run[:8]), run, rule, root)
    for never in (change(old), change(rule), change(later), change(last, known=False)):
        assert not excuses(never, run, rule, root)


def test_a_rule_that_came_after_its_runs_says_so():
    checked = 0
    for evidence, commit in judged_here():
        since = rule_commit(evidence.claim)
        if since is None:
            continue
        checked += 1
        for run in {commit, *(run["commit"] for run in evidence.record.provenance["runs"])}:
            told = precedes(since.commit, run) or any(
                excuses(deviation, run, since.commit) for deviation in evidence.claim.deviations
            )
            assert told, f"{evidence.claim.key}: its rule was changed after the run at {run[:12]}"
    if not checked:
        pytest.skip("no verdict whose commits are in this history")


def test_the_first_protocols_rules_and_studies_stood_before_their_runs():
    for evidence, commit in judged_here():
        claim = evidence.claim
        for run in (commit, *(run["commit"] for run in evidence.record.provenance["runs"])):
            then = claim_at(claim, run)
            if then is None:
                continue
            if evidence.record.first is not None:
                assert _plain(then["rule"]) == _plain(claim.first.rule), f"{claim.key} at {run}"
            moved = [d for d in claim.deviations if "Moved from" in d.what and not precedes(d.commit, run)]
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
