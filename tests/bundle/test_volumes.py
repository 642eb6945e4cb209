"""Volumes that are carried are found under their keys, almost as they were, without the archives."""

from pathlib import Path

import numpy as np
import pytest

from studykit.bundle.sources import Volumes, volumes_of
from studykit.bundle.volumes import carry, halves, unpack, whole
from studykit.data.files import archives
from studykit.data.files.archives import ArchiveStandIn
from studykit.data.sources import prepared_source
from studykit.home import data_dir

HEADS = Volumes("sample-heads", 4.0)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """The cache of a machine without network, to which a call brings what was carried."""

    def bring(*wanted):
        largest = carry(wanted, tmp_path / "carried")
        monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "node"))
        monkeypatch.setattr(archives, "_download", lambda *_: pytest.fail("the network was asked"))
        return largest, unpack(tmp_path / "carried", tmp_path / "node")

    return bring


def test_the_machine_finds_the_volumes_under_the_same_keys(node):
    here = prepared_source("sample-heads", 4.0)
    largest, count = node(HEADS)
    there = prepared_source("sample-heads", 4.0)
    assert there.fingerprint == here.fingerprint and not there.refused
    assert count == len(here.volumes) == 10
    moved = []
    for ours, theirs in zip(here.volumes, there.volumes, strict=True):
        assert theirs.key == ours.key
        places = [Path(volume.array.filename).is_relative_to(data_dir()) for volume in (theirs, ours)]
        assert places == [True, False]
        np.testing.assert_array_equal(theirs.foreground, ours.foreground)
        np.testing.assert_array_equal(theirs.affine, ours.affine)
        assert (theirs.labels is None) == (ours.labels is None)
        if ours.labels is not None:
            np.testing.assert_array_equal(theirs.labels, ours.labels)
            assert theirs.labels.dtype == ours.labels.dtype
        moved.append(float(np.abs(theirs.array - ours.array).max()))
    assert 0 < max(moved) == largest < 0.003


def test_series_of_slices_are_found_by_their_names_alone(node):
    here = prepared_source("sample-head-cts", 4.0, "hu")
    node(Volumes("sample-head-cts", 4.0, "hu"))
    assert prepared_source("sample-head-cts", 4.0, "hu").fingerprint == here.fingerprint


def test_what_was_not_carried_is_said_and_no_subject_is_left_out(node):
    node(HEADS)
    with pytest.raises(ArchiveStandIn, match=r"only volumes prepared from img2fmri.* another profile"):
        prepared_source("sample-heads", 9.0)


def test_a_cohort_is_made_there_from_its_templates(node, tmp_path):
    name = "cohort:heads/t1:2"
    here = prepared_source(name, 8.0)
    node(Volumes(name, 8.0, labelled=True))
    assert not (tmp_path / "carried" / "volumes").exists()
    there = prepared_source(name, 8.0)
    assert there.fingerprint == here.fingerprint
    np.testing.assert_array_equal(there.volumes[1].array, here.volumes[1].array)


def test_volumes_of_ones_own_are_not_carried(tmp_path):
    with pytest.raises(ValueError, match=r"folder:/x is not carried: copy it"):
        carry([Volumes("folder:/x", 1.0)], tmp_path)


def test_a_damaged_file_is_named(node, tmp_path):
    carry([HEADS], tmp_path / "carried")
    path = next((tmp_path / "carried" / "volumes").glob("*.npz"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        unpack(tmp_path / "carried", tmp_path / "node")


def test_halves_are_the_half_precision_of_numpy():
    image = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(whole(**halves(image)), image.astype(np.float16).astype(np.float32))


def test_a_notebook_says_which_volumes_it_takes():
    assert volumes_of("bertswin-convergence", "laptop") == (Volumes("sample-heads", 6.0),)
    assert Volumes("sample-head-cts", 2.0) in volumes_of("bertswin-ablations", "laptop")
    assert Volumes("sample-bodies", 6.0, "hu") in volumes_of("mvc-components", "laptop")
    ct = volumes_of("bertswin-convergence", "gpu", {"data": "sample-head-cts", "seeds": 3})
    assert ct == (Volumes("sample-head-cts", 3.0),)
    coarse = volumes_of("effective-rank", "gpu", {"spacing_mm": 4.0})
    assert coarse == (Volumes("sample-heads", 4.0),)
    own = volumes_of("nnformer-data-efficiency", "laptop")
    assert {volumes.source for volumes in own} == {
        "cohort:heads/t1:60", "cohort:heads/t2-thick:60", "real-heads",
    }  # fmt: skip
