"""Papers: the five that ship load and are consistent, and a malformed file is refused by file and key."""

import re

import pytest

from studykit.claims.claim import ARITHMETIC, CHECKS, DIRECTION, NUMBER
from studykit.claims.paper import claims_of_study, find_claim, load_papers
from studykit.claims.rule import Rule

PAPER = """
title = "A paper"
authors = ["unknown"]
year = 2025
sources = ["abstract"]
arxiv = "2501.00001"

[[claims]]
id = "faster"
sentence = "It is faster."
study = "some-study"
notebook = "07_some_study"
reported = [{ name = "speed-up", value = 2, unit = "×", place = "abstract" }]
unknown = ["The number of seeds."]
[claims.rule]
kind = "effect"
metric = "Time of one over time of the other"
direction = "higher"
scale = "ratio"
null = 1.0
least_effect = 1.25
reported = 2
repetitions = 5
units = "seeds"
gates = [{ name = "it learns", above = 0 }]
sensitivity = [{ name = "half way", varies = "depth" }]
[[claims.readings]]
of = "half way"
table = "speedup.csv"
value = "speed-up"
where = { target = "0.5" }
[[claims.deviations]]
date = 2026-01-02
commit = "abc"
what = "Written anew."
results_known = true
before = "not reproduced"
"""


@pytest.fixture(scope="module")
def papers():
    return load_papers(strict=True)


@pytest.fixture
def write(tmp_path):
    def write(text, name="one"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "paper.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_the_five_sources_load(papers):
    assert set(papers) >= {"bertswin", "nnformer-mae", "rsna-pipeline", "spine-adaptive", "volta-3d"}
    assert all(name == paper.name and paper.claims for name, paper in papers.items())


def test_every_study_has_one_notebook_and_claims_of_one_paper(papers):
    found = {}
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        found.setdefault(claim.study, set()).add((claim.notebook, claim.paper))
    assert len(found) >= 12 and {study for study, homes in found.items() if len(homes) > 1} == set()
    numbers = [notebook[:2] for homes in found.values() for notebook, _ in homes]
    assert len(set(numbers)) == len(numbers)


def test_claims_are_written_to_be_judged(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        assert claim.sentence.endswith(".") and len(claim.sentence) < 160, claim.key
        assert claim.unknown or claim.rule.kind == "identity", (
            f"{claim.key} says nothing about what is unknown"
        )
        if claim.rule.kind == "count":
            assert claim.rule.tolerance == 0.01, claim.key
        if claim.rule.reported is not None:
            values = [number.value for number in claim.reported]
            assert claim.rule.reported in values, f"{claim.key} is judged by a number that has no place"


def test_reported_ratios_follow_from_the_reported_numbers(papers):
    def numbers(key):
        return {number.name: number.value for number in find_claim(key).reported}

    speedup = numbers("bertswin/convergence-speedup")
    ratio = speedup["epochs of the MAE-ViT baseline"] / speedup["epochs of BertsWin with AdamW"]
    assert speedup["speed-up"] == pytest.approx(ratio, rel=1e-3)
    bertswin = find_claim("bertswin/flops-bertswin-224").rule.reported
    vit = find_claim("bertswin/flops-vit-224").rule.reported
    equal_flops = find_claim("bertswin/convergence-speedup-equal-flops").rule.reported
    assert equal_flops == pytest.approx(ratio * vit / bertswin, rel=1e-3)
    assert find_claim("bertswin/flops-parity-224").rule.reported == pytest.approx(bertswin / vit, rel=1e-3)
    assert find_claim("bertswin/gcond-total-speedup").rule.reported == 660 / 44
    assert find_claim("bertswin/gcond-factor").rule.reported == pytest.approx(114 / 44, rel=1e-3)
    small = numbers("bertswin/bertswin-small")
    assert small["speed-up"] == pytest.approx(
        small["steps of ViT-Base"] / small["steps of BertsWin-Small"], rel=1e-3
    )


def test_convergence_rule_is_the_agreed_one():
    rule = find_claim("bertswin/convergence-speedup").rule
    agreed = {"null": 1.0, "reported": 5.79, "least_effect": 1.25, "repetitions": 5}
    assert {key: getattr(rule, key) for key in agreed} == agreed
    assert (rule.direction, rule.scale, rule.units) == ("higher", "ratio", "seeds")


def test_every_rule_is_one_of_the_second_protocol(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        rule = claim.rule
        assert claim.sources == papers[claim.paper].sources and claim.checks in CHECKS
        if rule.counted or rule.derived_from:
            assert rule.family is None, f"{claim.key} is corrected for what has no error, or twice"
        if not rule.counted:
            assert rule.sensitivity, f"{claim.key} has nothing beside it"
        added = any("so there are five" in deviation.what for deviation in claim.deviations)
        assert len(rule.sensitivity) <= (5 if added else 4), claim.key


def test_what_kind_of_claim_it_is(papers):
    kinds = {kind: [] for kind in CHECKS}
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        kinds[claim.checks].append(claim.id)
    assert "convergence-speedup" in kinds[NUMBER] and "lll-attention-flops" in kinds[ARITHMETIC]
    assert "mvc-balance" in kinds[DIRECTION] and "label-efficiency" in kinds[NUMBER]


def test_every_claim_of_the_first_protocol_keeps_its_rule_and_tells_what_changed(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        if claim.first is None:
            assert not claim.deviations, claim.key
        elif not claim.deviations:
            unchanged = {key: getattr(claim.rule, key) for key in claim.first.rule}
            assert unchanged == dict(claim.first.rule), claim.key
        else:
            known = any(deviation.results_known for deviation in claim.deviations)
            assert claim.exploratory == (known and not claim.rule.counted), claim.key


def test_a_change_with_results_known_says_what_it_did_and_changes_are_in_order(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        dates = [deviation.date for deviation in claim.deviations]
        assert dates == sorted(dates), claim.key
        for deviation in claim.deviations:
            told = deviation.before is not None
            assert told == (deviation.after is not None), (claim.key, deviation.commit)
            assert deviation.results_known or not told, (claim.key, deviation.commit)
        if claim.deviations:
            assert told == deviation.results_known and (told or claim.first.status is None), claim.key


def test_each_change_starts_from_the_status_that_the_one_before_left(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        now = claim.first.status if claim.first else None
        for deviation in claim.deviations:
            if deviation.before is not None:
                first_by_the_second = now is None
                assert first_by_the_second or deviation.before == now, (claim.key, deviation.commit)
                now = deviation.after


def test_no_claim_is_inconclusive_any_more(papers):
    for claim in (claim for paper in papers.values() for claim in paper.claims):
        assert all(deviation.after != "inconclusive" for deviation in claim.deviations)


def test_a_file_is_read_as_written(write):
    claim = find_claim("one/faster", write(PAPER))
    assert claim.key == "one/faster"
    assert (claim.study, claim.notebook) == ("some-study", "07_some_study")
    assert claim.reported[0].value == 2.0 and claim.unknown == ("The number of seeds.",)
    assert claim.rule.reported == 2.0 and claim.rule.tolerance is None
    assert claim.rule.gates[0].above == 0.0 and claim.rule.sensitivity[0].varies == "depth"
    assert claim.readings[0].where == ({"target": "0.5"},) and claim.readings[0].scale == "ratio"
    assert claim.exploratory and claim.deviations[0].after is None and claim.first is None


def test_the_first_protocol_is_read_from_beside_and_names_known_claims(write):
    folder = write(PAPER)
    first = '[[claims]]\nid = "{}"\nstatus = "inconclusive"\n[claims.rule]\nkind = "effect"\n'
    (folder / "one" / "protocol_v1.toml").write_text(first.format("faster"))
    found = find_claim("one/faster", folder).first
    assert (found.status, found.rule) == ("inconclusive", {"kind": "effect"})
    (folder / "one" / "protocol_v1.toml").write_text(first.format("slower"))
    with pytest.raises(ValueError, match=r"protocol_v1\.toml: no claim slower"):
        load_papers(folder, strict=True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('sentence = "It is faster."', 'sentense = "It is faster."', "missing key 'sentence'"),
        ('arxiv = "2501.00001"', 'arxive = "2501.00001"', "unknown key 'arxive'"),
        ("null = 1.0", "null = 1.0\nnul = 2.0", "unknown key 'nul'"),
        ("null = 1.0\n", "", "missing key 'null'"),
        ("null = 1.0", 'null = "one"', "key 'null' must be float"),
        ("null = 1.0", "null = nan", "key 'null' must be finite"),
        ("repetitions = 5", "repetitions = 5.5", "key 'repetitions' must be int"),
        ("repetitions = 5", "repetitions = true", "key 'repetitions' must be int"),
        ("repetitions = 5", "repetitions = 0", "repetitions: got 0"),
        ('direction = "higher"', 'direction = "up"', "known directions: higher, lower"),
        ('kind = "effect"', 'kind = "guess"', "known kinds: effect, non-inferiority, count, identity"),
        ("least_effect = 1.25", "least_effect = 0.8", "least_effect: 0.8 is not beyond the null"),
        ("reported = 2\n", "reported = 1.1\n", "reported: 1.1 falls short of the least effect"),
        ("07_some_study", "7_some_study", "NN_some_study"),
        ("07_some_study", "07_another_study", "NN_some_study"),
        ('id = "faster"', 'id = "Faster one"', "key 'id'"),
        ('unknown = ["The number of seeds."]', "unknown = [3]", "key 'unknown'"),
        ('unit = "×", ', "", "missing key 'unit'"),
        ('sentence = "It is faster."', 'sentence = " "', "key 'sentence' is empty"),
        ("year = 2025", "year = ", "not valid TOML"),
        ('sources = ["abstract"]', 'sources = ["hearsay"]', "known: paper, abstract"),
        ('scale = "ratio"', 'scale = "log"', "known scales: difference, ratio"),
        ('scale = "ratio"\n', "", "missing key 'scale'"),
        ('units = "seeds"', 'units = ""', "key 'units' is empty"),
        ("above = 0 }", "above = 0, below = 1 }", "give either above or below"),
        ('of = "half way"', 'of = "half a way"', "known: estimate, half way, it learns"),
        ('value = "speed-up"\n', "", "keys 'table', 'value' and 'where' are needed"),
        ('where = { target = "0.5" }', "where = { target = 0.5 }", "must map columns to texts"),
        ('of = "half way"\n', 'of = "half way"\nhow = "guess"\n', "known: interval, repetitions"),
        ("date = 2026-01-02", 'date = "2026-01-02"', "key 'date' must be a date"),
        ("results_known = true", "results_known = 1", "key 'results_known' must be true or false"),
        ('units = "seeds"', 'units = "seeds"\nderived_from = ["other"]', "derived_from names other"),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_key(write, old, new, said):
    assert old in PAPER
    folder = write(PAPER.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        load_papers(folder, strict=True)
    assert str(folder / "one" / "paper.toml") in str(error.value)


def test_a_rule_of_one_kind_takes_no_key_of_another(write):
    count = PAPER.replace('kind = "effect"', 'kind = "count"')
    with pytest.raises(ValueError, match="missing key 'tolerance'"):
        load_papers(write(count), strict=True)
    with pytest.raises(ValueError, match="direction: has no meaning in a rule of kind 'identity'"):
        Rule(kind="identity", metric="residual", tolerance=1e-9, direction="higher")
    with pytest.raises(ValueError, match="family: has no meaning in a rule of kind 'count'"):
        Rule(kind="count", metric="FLOPs", reported=1.0, tolerance=0.01, family="effects")
    with pytest.raises(ValueError, match="relative tolerance"):
        Rule(kind="count", metric="FLOPs", reported=0.0, tolerance=0.01)


def test_duplicate_ids_are_refused(write):
    claim = PAPER[PAPER.index("[[claims]]") :]
    with pytest.raises(ValueError, match="duplicate id 'faster'"):
        load_papers(write(PAPER + claim), strict=True)


def test_a_folder_without_a_paper_is_named(write):
    folder = write(PAPER)
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty has no paper\.toml"):
        load_papers(folder, strict=True)


def test_a_file_that_cannot_be_read_disables_its_own_paper_only(write):
    folder = write(PAPER)
    write("title = ", name="two")
    with pytest.warns(UserWarning, match=r"two.paper\.toml: not valid TOML.*left out"):
        assert set(load_papers(folder)) == {"one"}
    assert find_claim("one/faster", folder).id == "faster"
    with pytest.raises(ValueError, match="not valid TOML"):
        find_claim("two/faster", folder)


def test_unknown_names_list_the_known_ones(write):
    folder = write(PAPER)
    with pytest.raises(ValueError, match="known claims: faster"):
        find_claim("one/slower", folder)
    with pytest.raises(ValueError, match="known papers: one"):
        find_claim("two/faster", folder)
    with pytest.raises(ValueError, match="studies with claims: some-study"):
        claims_of_study("other", folder)
    assert [claim.key for claim in claims_of_study("some-study", folder)] == ["one/faster"]
