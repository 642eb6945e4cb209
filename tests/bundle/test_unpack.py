"""What comes back is taken in whole or not at all, and only what our own code could have made."""

import gzip
import io
import json
import os
import shutil
import tarfile

import pytest
from hand_made import archive, header_without_end

from studykit import home
from studykit.bundle import unpack
from studykit.bundle.collect import ROOT, collect
from studykit.bundle.manifest import FILE, Manifest, Needs, rules_of
from studykit.bundle.unpack import check_origin, unbundle
from studykit.claims.estimate import Estimate
from studykit.claims.paper import find_claim
from studykit.claims.verdict import judge
from studykit.report.record import Record, read_verdicts, write_verdicts
from studykit.runs.provenance import git_state
from studykit.runs.store import RunStore, run_hash

STUDY, CLAIM = "bertswin-convergence", "bertswin/convergence-speedup"
COMMIT, OTHER = "a" * 40, "b" * 40
CONFIG = {"training": {"steps": 4}, "seeds": {"init": 1}}
STATUS = {
    "state": "done", "label": "a run", "message": "", "started": "", "updated": "", "attempts": 1, "pid": 1,
    "host": "node",
}  # fmt: skip


def manifest(**other):
    needs = Needs("3.12", "2.8", True, 16, 16, 6)
    values = {
        "commit": COMMIT, "dirty": False, "studies": (STUDY,), "further": {}, "profile": "gpu",
        "minutes": 10, "on_a_card": 1, "rules": rules_of([STUDY]), "rounded_by": 0.001, "needs": needs,
    }  # fmt: skip
    return Manifest(**{**values, **other})


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The results of a checkout whose history has one commit."""
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(unpack, "git", lambda root, *words: "" if COMMIT in words else None)
    return tmp_path / "results"


@pytest.fixture
def node(tmp_path):
    """The folder of a bundle after its study: a verdict of three seeds, a run, a log, weights."""
    root = tmp_path / "node"
    folder = root / "results" / STUDY / "gpu"
    folder.mkdir(parents=True)
    claim = find_claim(CLAIM)
    estimate = Estimate(2.0, 1.5, 2.5, n=3, kind="reduced-scale", unit="×")
    verdict = judge(claim, estimate, profile="gpu")
    write_verdicts(folder, STUDY, "gpu", [Record(verdict, {"commit": COMMIT, "dirty": False})])
    (folder / "curves.svg").write_text("<svg/>")
    add_run(root, CONFIG)
    (root / "logs").mkdir()
    (root / "logs" / "run.log").write_text("went well")
    (root / FILE).write_text(json.dumps(manifest().to_dict()))
    return root


def add_run(root, config, state="done", commit=COMMIT):
    folder = root / "results" / "runs" / run_hash(config)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "status.json").write_text(json.dumps(STATUS | {"state": state}))
    (folder / "provenance.json").write_text(json.dumps({"commit": commit}))
    (folder / "metrics.jsonl").write_text('{"step": 4, "seconds": 1.0}\n')
    (folder / "checkpoint.pt").write_bytes(b"weights" * 1000)
    return folder


def everything(folder):
    """Every file below a folder, with what it holds."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(path, results, message):
    """It is refused with that message, and nothing has changed."""
    before = everything(results)
    with pytest.raises(ValueError, match=message):
        unbundle(path)
    assert everything(results) == before
    assert not list(results.glob(".unbundle-*"))


def with_manifest(root, **changes):
    """Pack, and change the manifest in the archive."""
    content = json.dumps(json.loads((root / FILE).read_text()) | changes).encode()
    path = root / "changed.tar.gz"
    with tarfile.open(collect(root, root)[0]) as packed, tarfile.open(path, "w:gz") as tar:
        for member in packed:
            data = content if member.name.endswith(f"{ROOT}/{FILE}") else packed.extractfile(member).read()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


# ---- what is taken in


def test_evidence_runs_and_logs_come_back_without_weights(node, results, tmp_path):
    added = unbundle(collect(node, tmp_path)[0])
    folder = results / STUDY / "gpu"
    assert added.evidence == (folder,) and (added.runs, added.runs_here, added.left_out) == (1, 0, ())
    [record] = read_verdicts(folder, STUDY, "gpu")
    assert record.verdict.reason == "The rule needs 5 repetitions, there are 3."
    assert (folder / "curves.svg").exists()
    assert json.loads((folder / FILE).read_text())["rounded_by"] == 0.001
    [run] = RunStore(results / "runs").list()
    assert (run.label, run.state, run.config) == ("a run", "done", CONFIG)
    assert not list(results.rglob("*.pt"))
    assert (added.logs / "run.log").read_text() == "went well"
    assert sorted(path.name for path in results.iterdir()) == ["batch", STUDY, "runs"]


def test_what_ran_once_more_comes_back_beside_the_evidence(node, results, tmp_path):
    shutil.copytree(node / "results" / STUDY / "gpu", node / "results" / STUDY / "gpu-own")
    assert "gpu-own" not in " ".join(tarfile.open(collect(node, tmp_path)[0]).getnames())
    further = {STUDY: {"data": "sample-head-cts"}}
    (node / FILE).write_text(json.dumps(manifest(further=further).to_dict()))
    added = unbundle(collect(node, tmp_path)[0])
    assert added.evidence == (results / STUDY / "gpu", results / STUDY / "gpu-own")
    assert json.loads((added.evidence[1] / FILE).read_text())["further"] == further
    [record] = read_verdicts(added.evidence[1], STUDY, "gpu")
    assert record.verdict.claim == CLAIM


def test_runs_that_are_here_stay_as_they_are(node, results, tmp_path):
    path = collect(node, tmp_path)[0]
    ours = add_run(results.parent, CONFIG)
    (ours / "metrics.jsonl").write_text("ours")
    added = unbundle(path)
    assert (added.runs, added.runs_here) == (0, 1)
    assert (ours / "metrics.jsonl").read_text() == "ours" and (ours / "checkpoint.pt").exists()


def test_what_did_not_end_is_left_out_and_said(node, results, tmp_path):
    add_run(node, CONFIG | {"more": 1}, state="interrupted")
    (node / "results" / STUDY / "gpu" / "verdict.json").unlink()
    added = unbundle(collect(node, tmp_path)[0])
    assert added.evidence == () and added.runs == 1
    assert added.left_out == (
        f"{STUDY} at gpu: it concluded nothing, the logs say why",
        "1 runs that did not come to their end",
    )
    assert not (results / STUDY).exists()


# ---- what is refused


def test_evidence_is_not_written_over(node, results, tmp_path):
    path = collect(node, tmp_path)[0]
    unbundle(path)
    refused(path, results, r"gpu is there already: move it away")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commit": OTHER}, rf"made at commit {OTHER[:12]}, from which HEAD does not descend"),
        ({"commit": "--all"}, "names no commit: '--all'"),
        ({"dirty": True}, "made with local changes that no commit has"),
        ({"rules": rules_of([STUDY]) | {CLAIM: "0" * 16}}, f"the rule is no longer .*: {CLAIM}$"),
        ({"rules": {}}, f"the rule is no longer what it was made for: .*{CLAIM}"),
        ({"profile": "laptop"}, "evidence of bertswin-convergence/gpu is not what bundle.json says"),
        ({"profile": "../.."}, r"Unknown profile '\.\./\.\.'"),
        ({"studies": ["../.."]}, r"no claim names the study '\.\./\.\.'"),
        ({"studies": "all"}, "studies is 'all'"),
        ({"more": 1}, "has not the keys"),
        ({"needs": {}}, "needs: "),
    ],
)
def test_another_commit_or_rule_is_named(node, results, changes, message):
    refused(with_manifest(node, **changes), results, message)


def test_a_commit_of_this_history_and_no_other_passes():
    commit = git_state(home.home())["commit"]
    if commit is None:
        pytest.skip("no git checkout")
    check_origin(manifest(commit=commit))
    with pytest.raises(ValueError, match="HEAD does not descend"):
        check_origin(manifest(commit="0" * 40))


def test_a_verdict_that_does_not_follow_from_its_tables_is_refused(node, results):
    path = node / "results" / STUDY / "gpu" / "verdict.json"
    content = json.loads(path.read_text())
    content["verdicts"][0]["verdict"] |= {"status": "reproduced", "finding": "supported"}
    path.write_text(json.dumps(content))
    refused(collect(node, node)[0], results, f"{CLAIM} does not follow from its tables by its rule")


def test_a_verdict_of_another_commit_is_refused(node, results):
    path = node / "results" / STUDY / "gpu" / "verdict.json"
    path.write_text(path.read_text().replace(COMMIT, OTHER))
    refused(collect(node, node)[0], results, f"{CLAIM} is of commit {OTHER}")


def test_a_run_of_another_commit_or_configuration_is_refused(node, results):
    strange = add_run(node, CONFIG | {"more": 1}, commit=OTHER)
    refused(collect(node, node)[0], results, f"run {strange.name} is of commit {OTHER}")
    (strange / "config.json").write_text("{}")
    refused(collect(node, node)[0], results, f"run {strange.name} is not the configuration")
    (strange / "status.json").write_text("[]")
    refused(collect(node, node)[0], results, f"run {strange.name}: status.json is no object")
    (strange / "status.json").unlink()
    refused(collect(node, node)[0], results, f"run {strange.name}: status.json cannot be read")


@pytest.mark.parametrize(
    "name",
    [
        f"{ROOT}/../evil", "/etc/evil", f"{ROOT}/results/../../evil", f"{ROOT}/results/a/b/.hidden",
        f"{ROOT}/results/a/b/c/d", f"{ROOT}/runs/{'0' * 16}/checkpoint.pt", f"{ROOT}/runs/up/config.json",
        f"{ROOT}/logs/x.sh", "elsewhere/bundle.json", f"{ROOT}/bundle.json\n",
    ],
)  # fmt: skip
def test_a_name_that_is_none_of_ours_is_refused(tmp_path, results, name):
    refused(archive(tmp_path, name), results, "is nothing that a bundle brings back")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"S"])
def test_links_and_devices_are_refused(tmp_path, results, kind):
    info = tarfile.TarInfo(f"{ROOT}/logs/a.log")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(archive(tmp_path, info), results, r"is no plain file|no archive that can be read")


def test_a_name_that_stands_twice_is_refused(tmp_path, results):
    refused(archive(tmp_path, f"{ROOT}/{FILE}", f"{ROOT}/{FILE}"), results, "stands twice")


def test_an_archive_without_end_is_refused(tmp_path, results, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_BYTES", 10**6)
    zeros = archive(tmp_path, f"{ROOT}/logs/a.log", data=bytes(2 * 10**6))
    refused(zeros, results, "holds more than a bundle brings back")
    (bomb := tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(header_without_end()))
    refused(bomb, results, "unpacks to more than 1 MB")
    monkeypatch.setattr(unpack, "MOST_FILES", 1)
    refused(archive(tmp_path, f"{ROOT}/{FILE}", f"{ROOT}/logs/a.log"), results, "holds more")


@pytest.mark.parametrize(
    "data", [b"", b"no archive", gzip.compress(b"no tar", mtime=0), gzip.compress(b"x" * 5000, mtime=0)[:40]]
)
def test_no_archive_is_said(tmp_path, results, data):
    (path := tmp_path / "x").write_bytes(data)
    results.mkdir()
    refused(path, results, r"can be read|holds no bundle\.json")


def test_a_cut_archive_changes_nothing(node, results):
    path = collect(node, node)[0]
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, results, "no archive that can be read")


def test_a_failure_half_way_is_undone(node, results, tmp_path, monkeypatch):
    path, rename, calls = collect(node, tmp_path)[0], os.rename, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(unpack.os, "rename", failing)
    with pytest.raises(OSError, match="No space"):
        unbundle(path)
    assert everything(results) == {}


def test_timings_of_a_card_come_along_and_none_is_replaced(node, results):
    folder = node / "results" / "benchmarks"
    folder.mkdir()
    for name in ("card-cuda.csv", "card-cuda.json", "matmul-cuda.md", "card-avx2.csv"):
        (folder / name).write_text("new")
    (results / "benchmarks").mkdir(parents=True)
    (results / "benchmarks" / "matmul-cuda.md").write_text("old")
    path, _ = collect(node, node)
    added = unbundle(path)
    here = {path.name: path.read_text() for path in (results / "benchmarks").iterdir()}
    assert here == {"card-cuda.csv": "new", "card-cuda.json": "new", "matmul-cuda.md": "old"}
    assert any("here already: matmul-cuda" in words for words in added.left_out)
