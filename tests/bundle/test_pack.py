"""A bundle is refused before it is written where it cannot be what it should; the verbs say what is in it."""

import json
import tarfile

import pytest

from studykit import cli, home
from studykit.bundle import pack
from studykit.bundle.manifest import COMMIT, FILE, Manifest, rules_of
from studykit.bundle.unpack import Added
from studykit.bundle.volumes import Volumes
from studykit.runs import provenance
from studykit.runs.provenance import git_state
from studykit.workspace import init

STUDY = "bertswin-convergence"
STATE = {"commit": "a" * 40, "dirty": False}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Bundles with one wheel and one volume, neither of them fetched nor decoded."""
    carried = {}

    def carry(wanted, folder):
        carried["wanted"] = list(wanted)
        (folder / "volumes").mkdir(parents=True)
        (folder / "volumes" / "key.npz").write_bytes(bytes(range(256)) * 40)
        return 0.001

    def fetch(wanted, folder, python, platform):
        folder.mkdir(parents=True)
        (folder / "thing-1-py3-none-any.whl").write_bytes(b"wheel")
        return [folder / "thing-1-py3-none-any.whl"]

    monkeypatch.setattr(pack, "carry", carry)
    monkeypatch.setattr(pack, "fetch_wheels", fetch)
    monkeypatch.setattr(pack, "git_state", lambda root: STATE)
    settings = {
        "profile": "gpu", "minutes": 10, "python": "3.12", "platform": "any", "has": ["torch"],
        "limit_mb": 64,
    }  # fmt: skip

    def bundle(*studies, **other):
        return pack.bundle(tmp_path / "out.tar.gz", studies or [STUDY], **settings | other)

    bundle.carried, bundle.folder = carried, tmp_path
    return bundle


def test_a_bundle_says_what_is_in_it(make, tmp_path):
    done = make()
    assert make.carried["wanted"] == [Volumes("sample-heads", 3.0)]
    assert (done.volumes, done.wheels) == (1, 1)
    with tarfile.open(done.path) as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / pack.ROOT
    assert sorted(p.name for p in root.iterdir()) == [FILE, "carried", "run.sh", "source", "wheels"]
    manifest = Manifest.from_text((root / FILE).read_bytes())
    assert manifest == done.manifest and manifest.needs.cuda
    assert json.loads((root / "source" / COMMIT).read_text()) == STATE
    assert (root / "source" / "notebooks" / "01_bertswin_convergence.ipynb").is_file()


def test_a_study_runs_once_more_on_other_volumes(make, tmp_path):
    done = make(further={STUDY: {"data": "sample-head-cts"}, "effective-rank": {"seeds": [7, 8]}})
    assert make.carried["wanted"] == [
        Volumes("sample-heads", 3.0), Volumes("sample-head-cts", 3.0), Volumes("sample-heads", 1.5),
    ]  # fmt: skip
    assert done.manifest.further == {STUDY: {"data": "sample-head-cts"}, "effective-rank": {"seeds": [7, 8]}}
    assert done.manifest.evidence == ((STUDY, "gpu"), (STUDY, "gpu-own"), ("effective-rank", "gpu-own"))
    assert set(done.manifest.rules) == set(rules_of([STUDY, "effective-rank"]))
    with tarfile.open(done.path) as tar:
        assert Manifest.from_text(tar.extractfile(f"{pack.ROOT}/{FILE}").read()) == done.manifest
        books = [name for name in tar.getnames() if name.endswith(".ipynb")]
    assert [book.rpartition("/")[2][:2] for book in sorted(books)] == ["01", "03"]


def test_a_carried_checkout_knows_its_commit(make, tmp_path):
    with tarfile.open(make().path) as tar:
        tar.extractall(tmp_path, filter="data")
    assert git_state(tmp_path / pack.ROOT / "source") == STATE
    assert provenance.git_state(tmp_path) == {"commit": None, "dirty": None}


def test_runs_side_by_side_ask_for_a_card_that_holds_them(make):
    assert make().manifest.on_a_card == 1
    many = make(on_a_card=4).manifest
    assert many.on_a_card == 4 and many.needs.gpu_gib == 32


def test_smoke_needs_no_card(make):
    assert not make(profile="smoke").manifest.needs.cuda


def test_a_bundle_that_is_too_large_is_refused_with_its_parts(make):
    with pytest.raises(ValueError, match=r"takes [\d.]+ MB, 0\.1 may go in \(.*source [\d.]+, wheels"):
        make(limit_mb=0.1)
    assert list(make.folder.iterdir()) == []


def test_what_travels_beside_a_bundle_counts(make):
    size = make().path.stat().st_size / 1e6
    assert make(limit_mb=size + 3.1, beside_mb=3).path.exists()
    with pytest.raises(ValueError, match=r"takes [\d.]+ MB beside 3 MB, "):
        make(limit_mb=size + 2.9, beside_mb=3)


@pytest.mark.parametrize(
    ("studies", "other", "message"),
    [
        (["fly"], {}, "No notebook for 'fly'"),
        ([STUDY], {"profile": "huge"}, "Unknown profile 'huge'"),
        ([STUDY], {"minutes": 0}, "minutes must be above 0, got 0"),
        ([STUDY], {"on_a_card": 0}, "at least 1; got 0"),
        (["tour"], {}, "no claim names the study 'tour'"),
        ([STUDY], {"further": {STUDY: {"colour": "red"}}}, "has no parameter colour. Known: profile, seeds"),
        ([STUDY], {"further": {STUDY: {"data": "sample-heads"}}}, "once more has to differ in its volumes"),
        ([STUDY], {"further": {"fly": {"data": "sample-heads"}}}, "No notebook for 'fly'"),
    ],
)
def test_what_cannot_be_bundled_is_said(make, studies, other, message):
    with pytest.raises(ValueError, match=message):
        make(*studies, **other)
    assert list(make.folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere"):
        pack.bundle(
            tmp_path / "nowhere" / "x", [STUDY], profile="gpu", minutes=1, python="3.12", platform="any",
            has=[], limit_mb=1,
        )  # fmt: skip


def test_without_a_commit_there_is_no_bundle(make, monkeypatch):
    monkeypatch.setattr(pack, "git_state", lambda root: {"commit": None, "dirty": None})
    with pytest.raises(ValueError, match="is no git checkout"):
        make()


def test_a_workspace_has_no_source_to_bundle(make, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_HOME", str(init(tmp_path / "mine")))
    with pytest.raises(ValueError, match="is a workspace: a bundle takes its source from a clone"):
        make()


def test_the_verbs_tell_what_went_out_and_what_came_in(make, tmp_path, capsys, monkeypatch):
    out = tmp_path / "b.tar.gz"
    assert cli.main(["bundle", str(out), STUDY, "--has", "torch", "--minutes", "5", "--on-a-card", "2"]) == 0
    said = capsys.readouterr().out
    assert f"{out}: " in said and " MB of 64 (" in said
    assert f"studies at gpu, 5 minutes, 2 runs on a card: {STUDY}\ncommit {'a' * 12}\n" in said
    assert "1 prepared volumes in half precision, no voxel moved by more than 0.001 deviations" in said
    ct = ["--also", STUDY, "data", "sample-head-cts", "--also", STUDY, "seeds", "[1, 2]"]
    assert cli.main(["bundle", str(out), STUDY, *ct, "--has", "torch"]) == 0
    assert f"then {STUDY} once more: data sample-head-cts, seeds [1, 2]\n" in capsys.readouterr().out
    assert cli.main(["bundle", str(out), STUDY, "--limit-mb", "0.01"]) == 2
    assert cli.main(["bundle", str(out), STUDY, "--has", "torch", "--beside-mb", "63.99"]) == 2

    folder = home.home() / "results" / STUDY / "gpu"
    added = Added((folder,), 12, 3, None, ("2 runs that did not come to their end",))
    monkeypatch.setattr("studykit.bundle.unpack.unbundle", lambda path: added)
    assert cli.main(["unbundle", "x"]) == 0
    said = capsys.readouterr().out
    assert f"added results/{STUDY}/gpu\nadded 12 runs, without their weights; 3 were here already\n" in said
    assert said.endswith("left out: 2 runs that did not come to their end\n")
