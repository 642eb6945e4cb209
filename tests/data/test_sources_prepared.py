"""Volumes of any source by name: cohorts of a toy head, and files."""

import numpy as np
import pytest
from tiny_template import use_toys
from tiny_volumes import save

from studykit.data.cohorts.designs import DESIGNS
from studykit.data.sources import open_source, prepared_source
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.volumes import VolumeSettings


@pytest.fixture
def toy(monkeypatch):
    use_toys(monkeypatch)


def test_a_cohort_is_the_same_anywhere_and_a_larger_one_begins_with_it(toy, tmp_path):
    one, again = (prepared_source("cohort:heads/t1:2", 6.0, cache=tmp_path / name) for name in "ab")
    more = prepared_source("cohort:heads/t1:3", 6.0, cache=tmp_path / "a")
    assert one.fingerprint == again.fingerprint != more.fingerprint
    for first, second, third in zip(one.volumes, again.volumes, more.volumes, strict=False):
        assert first.subject == second.subject == third.subject and first.key == third.key
        for part in ("array", "labels", "foreground"):
            assert np.array_equal(getattr(first, part), getattr(second, part)), part
    assert one.volumes[0].array.shape == DESIGNS["heads"].shape(6.0) == (24, 24, 24)


def test_another_scanner_shows_the_same_people_with_the_same_labels(toy, tmp_path):
    seen = [prepared_source(f"cohort:heads/{s}:2", 6.0, cache=tmp_path) for s in ("t1", "t2-thick")]
    for one, two in zip(*(prepared.volumes for prepared in seen), strict=True):
        assert one.subject == two.subject and np.array_equal(one.labels, two.labels) and one.labels.any()
        assert np.abs(one.array - two.array).mean() > 0.2
    assert seen[0].fingerprint != seen[1].fingerprint


def test_a_cohort_has_one_way_to_be_prepared(tmp_path):
    for source in ("cohort:heads/t1:2", "real-heads"):
        with pytest.raises(ValueError, match=f"{source} is prepared with intensity 'auto' alone, got 'hu'"):
            prepared_source(source, 3.0, "hu", cache=tmp_path)


def test_files_are_prepared_as_before(tmp_path):
    save(tmp_path / "in" / "a.nii.gz")
    source = f"folder:{tmp_path / 'in'}"
    ours = prepared_source(source, 2.0, "mr-percentile", cache=tmp_path / "cache")
    settings = VolumeSettings(spacing_mm=2.0, intensity="mr-percentile")
    theirs = prepare(open_source(source, cache=tmp_path / "cache"), settings)
    assert ours.fingerprint == theirs.fingerprint and ours.settings == settings


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"known: sample-heads, .*cohort:heads/SCANNER:N"):
        prepared_source("heads", 3.0, cache=tmp_path)
