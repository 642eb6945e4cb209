import json
import math

import pytest
from toy_paper import FACTS, make_claim, ratio

from studykit.claims.verdict import judge
from studykit.report.record import Record, read_verdicts, write_verdicts
from studykit.runs.cost import Cost


def record(claim="steps", profile="laptop", value=2.4, high=math.inf, **rest):
    verdict = judge(make_claim(claim), ratio(value, 1.8, high), profile=profile)
    return Record(verdict, FACTS, Cost(1, 0, 1e12), "10 heads", 2, (("a.svg", "curves"),), ("t.csv",), **rest)


def test_what_is_written_is_read(tmp_path):
    records = (record(), record("flops", notebook="01.ipynb"))
    path = write_verdicts(tmp_path, "speed", "laptop", records)
    assert path == tmp_path / "verdict.json"
    assert read_verdicts(tmp_path, "speed", "laptop") == records


def test_a_new_verdict_replaces_the_one_on_its_claim_only(tmp_path):
    write_verdicts(tmp_path, "speed", "laptop", [record(value=2.0), record("flops")])
    write_verdicts(tmp_path, "speed", "laptop", [record(value=3.0), record("late")])
    read = read_verdicts(tmp_path)
    assert [r.verdict.claim for r in read] == ["toy/steps", "toy/flops", "toy/late"]
    assert read[0].verdict.estimate.value == 3.0


def test_a_verdict_of_another_profile_or_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="profile 'gpu'"):
        write_verdicts(tmp_path, "speed", "laptop", [record(profile="gpu")])
    write_verdicts(tmp_path, "speed", "laptop", [record()])
    with pytest.raises(ValueError, match=r"study 'speed', expected 'other'"):
        write_verdicts(tmp_path, "other", "laptop", [record()])


@pytest.mark.parametrize("name", ["../a.svg", "/a.svg", "sub/a.svg", ""])
def test_files_lie_in_the_records_folder(name):
    with pytest.raises(ValueError, match="its own folder"):
        Record(record().verdict, FACTS, figures=((name, "curves"),))


def broken(change):
    content = {"schema": 2, "study": "speed", "profile": "laptop", "verdicts": [record().to_dict()]}
    return json.dumps(change(content) or content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "indices"),
        ("\x00", "Expecting"),
        (broken(lambda c: c.pop("schema") and None), "missing key 'schema'"),
        (broken(lambda c: c.update(schema=3)), "schema 3"),
        (broken(lambda c: c.update(profile="gpu")), "profile 'gpu'"),
        (broken(lambda c: c["verdicts"][0].update(extra=1)), "got .*extra"),
        (broken(lambda c: c["verdicts"][0]["verdict"].update(status="proved")), "unknown status"),
        (broken(lambda c: c["verdicts"][0]["verdict"]["estimate"].update(low="high")), "could not convert"),
        (broken(lambda c: c["verdicts"][0].update(figures=[["../../x.svg", "y"]])), "its own folder"),
        (broken(lambda c: c["verdicts"][0].update(cost={"euros": 1})), "euros"),
        (broken(lambda c: c["verdicts"][0].update(provenance=None)), "provenance"),
        (broken(lambda c: c["verdicts"].append(c["verdicts"][0])), "two verdicts"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path, text, reason):
    (tmp_path / "verdict.json").write_text(text)
    with pytest.raises(ValueError, match=reason) as error:
        read_verdicts(tmp_path, "speed", "laptop")
    assert str(tmp_path / "verdict.json") in str(error.value)


def test_a_broken_file_is_not_overwritten(tmp_path):
    (tmp_path / "verdict.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        write_verdicts(tmp_path, "speed", "laptop", [record()])
    assert (tmp_path / "verdict.json").read_text(encoding="utf-8") == "{"


def test_a_file_of_the_first_protocol_keeps_its_verdict_and_waits_to_be_judged(tmp_path):
    first = {"claim": "toy/steps", "status": "inconclusive", "reason": "It holds 1.", "profile": "laptop"}
    first |= {"estimate": ratio(2.4, 0.8, 3.3).to_dict()}
    old = {key: value for key, value in record().to_dict().items() if key != "first"} | {"verdict": first}
    content = {"schema": 1, "study": "speed", "profile": "laptop", "verdicts": [old]}
    (tmp_path / "verdict.json").write_text(json.dumps(content))
    (read,) = read_verdicts(tmp_path, "speed", "laptop")
    assert read.first == first and read.verdict.estimate == ratio(2.4, 0.8, 3.3)
    assert read.verdict.status == "not evaluated" and "studykit judge" in read.verdict.reason
    write_verdicts(tmp_path, "speed", "laptop", [record("flops")])
    assert [r.verdict.claim for r in read_verdicts(tmp_path)] == ["toy/steps", "toy/flops"]
