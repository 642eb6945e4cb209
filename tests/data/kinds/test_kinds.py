"""A new kind of data is one file, dropped in; the others keep to one contract."""

import sys

import pytest

from studykit.data import kinds as room
from studykit.data.kinds import kinds
from studykit.data.kinds.kind import ORIGINS
from studykit.data.labelled import open_labelled
from studykit.data.sources import check_source_name, describe_source, fetch_source, list_sources, own_path

DROPPED = """
from studykit.data.files.refs import Collection, Subject, VolumeRef
from studykit.data.kinds.kind import Source, SourceKind


class Toys(SourceKind):
    prefix = "toy:"
    origin = "own"

    def lines(self):
        return (Source("toy:PATH", "toys", None, 0, "none", "", "read where they lie"),)

    def knows(self, name):
        if name == "toy:":
            raise ValueError("a toy has a path")
        return True

    def open(self, name, cache):
        return Collection(name, (Subject("bear", VolumeRef(self.path(name))),), "none", "", cache)


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
    with pytest.raises(ValueError, match=r"toy:here has no one set of classes; .*real-heads"):
        open_labelled("toy:here", 2.0, cache=tmp_path)


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
