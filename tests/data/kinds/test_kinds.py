"""A new kind of data is one file, dropped in; the others keep to one contract."""

import sys

import numpy as np
import pytest
from tiny_volumes import blob, save

from studykit.data import kinds as room
from studykit.data.aneurysms import has_aneurysms, open_aneurysms
from studykit.data.check import check_source
from studykit.data.kinds import kinds
from studykit.data.kinds.kind import ORIGINS
from studykit.data.labelled import open_labelled
from studykit.data.sources import (
    check_source_name,
    describe_source,
    fetch_source,
    list_sources,
    own_path,
    prepared_source,
)

DROPPED = """
from studykit.data.files.refs import Collection, Subject, VolumeRef
from studykit.data.kinds.kind import Source, SourceKind


class Toys(SourceKind):
    prefix = "toy:"
    origin = "own"
    labelled = True
    with_aneurysms = True

    def lines(self):
        return (Source("toy:PATH", "toys", None, 0, "none", "", "read where they lie"),)

    def knows(self, name):
        if name == "toy:":
            raise ValueError("a toy has a path")
        return True

    def open(self, name, cache):
        parts = [VolumeRef(self.path(name) / part) for part in ("bear.nii", "bear_seg.nii")]
        return Collection(name, (Subject("bear", *parts),), "none", "", cache)

    def classes(self, name, cache):
        return {1: "ear", 2: "paw"} if "bears" in name else None

    def aneurysms(self, name, spacing_mm, cache):
        return self.prepare_labelled(name, spacing_mm, cache), ("a row",)


KIND = Toys()
"""


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """The room with one more file in it."""
    (tmp_path / "toys.py").write_text(DROPPED)
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    kinds.cache_clear()
    yield
    kinds.cache_clear()
    sys.modules.pop("studykit.data.kinds.toys", None)


def test_a_dropped_in_file_is_a_source(dropped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "toy:PATH" in [source.name for source in list_sources()]
    assert describe_source("toy:here").holds == "toys"
    assert own_path("toy:here") == tmp_path / "here"
    assert fetch_source("toy:here", cache=tmp_path) == "1 volumes of 1 subjects at hand"
    with pytest.raises(ValueError, match="a toy has a path"):
        check_source_name("toy:")
    with pytest.raises(ValueError, match=r"sample-heads has no one set of classes; .*real-heads.*toy:PATH"):
        open_labelled("sample-heads", 2.0, cache=tmp_path)


def test_a_dropped_in_kind_is_prepared_labelled_checked_and_searched_like_any_other(dropped, tmp_path):
    labels = np.zeros(blob().shape, np.int16)
    labels[4:8, 4:8, 4:8], labels[4:6, 4:6, 4:6] = 1, 2
    for name, array in (("bear", blob()), ("bear_seg", labels)):
        save(tmp_path / "bears" / f"{name}.nii", array)
    source = f"toy:{tmp_path / 'bears'}"
    assert [v.subject for v in prepared_source(source, 2.0, cache=tmp_path).volumes] == ["bear"]
    opened = open_labelled(source, 2.0, cache=tmp_path)
    assert opened.classes == ("ear", "paw") and set(np.unique(opened.prepared.volumes[0].labels)) == {0, 1, 2}
    (row,) = check_source(source, cache=tmp_path)
    assert (row.subject, row.labels, row.ok) == ("bear", "1 2", True)
    assert has_aneurysms(source) and open_aneurysms(source, 2.0, cache=tmp_path)[1] == ("a row",)


def test_without_the_file_the_name_is_unknown():
    with pytest.raises(ValueError, match=r"unknown data source 'toy:here'; known: sample-heads, "):
        check_source_name("toy:here")


def test_no_prefix_hides_another_one():
    prefixes = [kind.prefix for kind in kinds()]
    assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]
    assert all(kind.origin in ORIGINS for kind in kinds())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cohort:bodies/ct:5", "cohort:bodies/SCANNER:N"),
        ("cohort:heads/t1:5", "cohort:heads/SCANNER:N"),
        ("angio:mra:4", "angio:SCANNER:N"),
        ("msd:Task09_Spleen", "msd:Task09_Spleen"),
        ("folder:a/B", "folder:PATH"),
        ("real-heads", "real-heads"),
    ],
)
def test_a_name_falls_under_its_line(name, line):
    assert describe_source(name).name == line


def test_what_is_labelled_names_its_classes_as_its_label_maps_count(tmp_path):
    names = {"angio:mra:4": {1: "vessel", 2: "aneurysm"}}
    names["real-heads"] = names["cohort:heads/t1:2"] = {1: "lateral ventricle", 6: "amygdala"}
    for name, expected in names.items():
        (kind,) = (kind for kind in kinds() if name.startswith(kind.prefix))
        assert kind.labelled and expected.items() <= dict(kind.classes(name, tmp_path)).items()
