"""Tables of well-known data sets and of one's own: whose sex and disease they tell, and what is refused."""

import pytest

from studykit.data.files import traits as tables
from studykit.data.files.traits import Traits, folder_traits

SUBJECTS = ("sub-01", "sub-02", "sub-03")


@pytest.fixture
def table(tmp_path):
    """Writes rows into a table of the folder, cells parted by |."""

    def write(name, *rows):
        mark = "\t" if name.endswith(".tsv") else ","
        (tmp_path / name).write_text("\n".join(mark.join(row.split("|")) for row in rows) + "\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("sex", "M F M"),
        ("Sex", "male FEMALE male"),
        ("gender", "m f m"),
        ("sex", "1 2 1"),
        ("sex", "1.0 2.0 1.0"),
    ],
)
def test_each_encoding_of_sex_is_read(table, column, words):
    rows = [f"sub-0{number}|{word}" for number, word in enumerate(words.split(), start=1)]
    found = folder_traits(table("participants.tsv", f"participant_id|{column}", *rows), SUBJECTS)
    assert found.names == ("sex",) and found.values == {"sex": ("male", "female")}
    assert found.numbers("sex", SUBJECTS) == (0, 1, 0) and found.notes == ()


def test_adni_like_bids_leaves_mild_impairment_out_and_says_so(table):
    ids = [f"sub-ADNI{number}" for number in ("002S0295", "002S0413", "002S0559", "002S0619")]
    rows = [f"{i}|{sex}|{dx}|70" for i, sex, dx in zip(ids, "MFMF", ("CN", "AD", "MCI", "n/a"), strict=True)]
    found = folder_traits(table("participants.tsv", "participant_id|sex|diagnosis|age", *rows), ids)
    assert found.names == ("sex", "disease")
    assert found.having("disease", ids) == tuple(ids[:2]) and found.numbers("disease", ids[:2]) == (0, 1)
    assert found.numbers("sex", ids) == (0, 1, 0, 1)
    (note,) = found.notes
    assert (
        "2 of 4 subjects have no disease by diagnosis: sub-ADNI002S0559 (MCI), sub-ADNI002S0619 (n/a)" in note
    )


def test_ixi_spells_subjects_by_number(table):
    rows = ("IXI_ID|SEX_ID (1=m, 2=f)|AGE", "2|2|35.8", "12|1|38.7", "13|1|46.7")
    root = table("IXI.csv", *(row.replace(", ", " ") for row in rows))
    assert folder_traits(root, ("IXI002", "IXI012")).numbers("sex", ("IXI002", "IXI012")) == (1, 0)


def test_ixis_spreadsheet_needs_a_reader_and_says_how_to_do_without(tmp_path, monkeypatch):
    import pandas as pd

    def missing(*args, **options):
        raise ImportError("Missing optional dependency 'xlrd'")

    (tmp_path / "IXI.xls").write_bytes(b"?")
    monkeypatch.setattr(pd, "read_excel", missing)
    with pytest.raises(ValueError, match=r"IXI\.xls is a spreadsheet.*xlrd.*save it as IXI\.csv"):
        folder_traits(tmp_path, ("IXI002",))
    frame = pd.DataFrame({"IXI_ID": ["2", "12"], "SEX_ID (1=m, 2=f)": ["2", "1"]})
    monkeypatch.setattr(pd, "read_excel", lambda *args, **options: frame)
    assert folder_traits(tmp_path, ("IXI002", "IXI012")).numbers("sex", ("IXI002", "IXI012")) == (1, 0)


def test_oasis_tells_disease_by_its_rating_and_may_have_a_subject_twice(table):
    rows = (
        "ID|M/F|CDR",
        "OAS1_0001_MR1|F|0",
        "OAS1_0002_MR1|M|0.5",
        "OAS1_0002_MR2|M|0.5",
        "OAS1_0003_MR1|F|",
    )
    found = folder_traits(table("oasis_cross-sectional.csv", *rows), ("OAS1_0001", "OAS1_0002", "OAS1_0003"))
    assert found.of["OAS1_0001"] == {"sex": "female", "disease": "healthy"}
    assert found.of["OAS1_0002"] == {"sex": "male", "disease": "disease"}
    assert found.of["OAS1_0003"] == {"sex": "female"}
    assert "OAS1_0003 (empty)" in found.notes[0]


def test_ones_own_table_and_ones_own_word_beside_controls(table):
    root = table("traits.csv", "subject|group", "anna|control", "ben|schizophrenia", "carl|schizophrenia")
    assert folder_traits(root, ("ben", "anna")).numbers("disease", ("ben", "anna")) == (1, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("sex / sub-01|M / sub-02|F", r"participants\.tsv lacks 1 of 3 subjects: sub-03; add a row"),
        ("age / sub-01|4 / sub-02|5 / sub-03|6", r"no column of a trait .*it has participant_id, age"),
        ("sex / sub-01|M / sub-02|2 / sub-03|F", "two encodings of sex: m, f beside 2"),
        ("sex / sub-01|male / sub-02|F / sub-03|M", "two encodings of sex: f, m beside male"),
        ("sex / sub-01|0 / sub-02|1 / sub-03|1", "unknown words in sex: 0; known: M and F"),
        ("dx / sub-01|A / sub-02|B / sub-03|A", "unknown words in dx: a, b; healthy are cn"),
        ("cdr / sub-01|0 / sub-02|mild / sub-03|1", "CDR is a number from 0 to 3, got mild"),
        ("sex / sub-01|M / sub-01|F / sub-02|F / sub-03|M", "has sub-01 twice, with different sex: M, F"),
        ("sex", "no column of ids"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused(table, rows, message):
    with pytest.raises(ValueError, match=message):
        folder_traits(table("participants.tsv", *f"participant_id|{rows}".split(" / ")), SUBJECTS)


def test_a_table_without_ids_is_refused(table):
    with pytest.raises(ValueError, match="no column of ids, such as participant_id; it has name, sex"):
        folder_traits(table("participants.tsv", "name|sex", "sub-01|M"), SUBJECTS)


def test_a_folder_without_a_table_says_what_was_looked_for(tmp_path):
    with pytest.raises(
        ValueError, match=r"no table of its subjects; looked for participants\.tsv, traits\.csv"
    ):
        folder_traits(tmp_path, SUBJECTS)
    assert tables.TABLES[0] == "participants.tsv"


def test_what_cannot_be_learnt_is_named():
    found = Traits({"sex": ("male", "female")}, {"a": {"sex": "male"}, "b": {"sex": "male"}, "c": {}})
    with pytest.raises(ValueError, match="sex has one class only among 2 subjects: male"):
        found.numbers("sex", ("a", "b"))
    with pytest.raises(ValueError, match="2 of 3 subjects have no sex: c, d"):
        found.numbers("sex", ("a", "c", "d"))
    with pytest.raises(ValueError, match="unknown trait 'age'; known: sex"):
        found.having("age", ("a",))
