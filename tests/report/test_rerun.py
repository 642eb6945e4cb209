"""A rerun beside the first: what chance allows, what does not, findings and rates that turned."""

import shutil

import pytest
from toy_paper import ratio

from studykit.report.evidence import gather
from studykit.report.record import read_verdicts, write_verdicts
from studykit.report.rerun import compare, compared, comparison_in_words, evidence_of, rates_that_turned
from studykit.report.site import write_summary


@pytest.fixture
def runs(conclude, papers):
    """A first run and, by its estimate, a rerun beside it."""
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.2))
    first = conclude.results / "speed" / "laptop"
    (record,) = read_verdicts(first)

    def again(estimate):
        rerun = conclude.results / "speed" / "laptop-rerun-avx2"
        shutil.rmtree(rerun, ignore_errors=True)
        own = conclude.write("steps", "laptop", estimate)
        write_verdicts(rerun, "speed", "laptop", [own])
        write_verdicts(first, "speed", "laptop", [record])
        return first, rerun

    return again, {claim.key: claim for claim in papers["toy"].claims}


def test_a_rerun_within_chance_agrees(runs):
    again, claims = runs
    (found,) = compare(claims, *again(ratio(2.6, 2.0, 3.4)))
    assert found.agrees and not found.turned and found.finding == "supported"
    assert "then 2.60× [2.00, 3.40] (as expected" in comparison_in_words(found)


def test_a_rerun_beyond_chance_and_one_that_turns_are_told(runs):
    again, claims = runs
    (found,) = compare(claims, *again(ratio(9.0, 8.0, 10.1)))
    assert found.agrees is False and "NOT as expected" in comparison_in_words(found)
    (turned,) = compare(claims, *again(ratio(1.9, 0.9, 4.0)))
    assert turned.agrees and turned.turned
    assert "finding turned: supported → underpowered" in comparison_in_words(turned)


def test_a_count_agrees_to_the_last_digit(conclude, papers):
    from studykit.claims.estimate import Estimate

    claim = papers["toy"].claim("count")
    one, other = (conclude.write("count", "laptop", Estimate.exact(v, "GFLOP")) for v in (538.2, 538.3))
    assert compared(claim, one, one).agrees is True and compared(claim, one, other).agrees is False


def test_the_report_shows_reruns_beside_the_first_and_pools_nothing(runs, conclude, papers):
    again, _claims = runs
    again(ratio(1.9, 0.9, 4.0))
    evidence = next(e for e in gather(conclude.results, papers) if e.claim.id == "steps")
    assert evidence.ours == "2.40× [1.80, 3.20]" and [name for name, _ in evidence.reruns] == ["avx2"]
    assert "turned in rerun avx2" in evidence.marks
    summary, site = write_summary(conclude.results, papers, {})
    assert "turned in rerun avx2" in summary.read_text(encoding="utf-8")
    own = site.parent / "claims" / "toy" / "steps.html"
    text = own.read_text(encoding="utf-8")
    assert "Rerun avx2" in text and "another learning rate" not in text


def test_rates_that_turned_stand_with_the_rerun_of_a_claim(runs, conclude, papers):
    again, _claims = runs
    for folder, rate in zip(again(ratio(1.9, 0.9, 4.0)), ("0.0045", "0.0015"), strict=True):
        (folder / "learning_rates.csv").write_text(RATES.format(f"BertsWin,{rate},0.5,True\n"))
    _summary, site = write_summary(conclude.results, papers, {})
    text = (site.parent / "claims" / "toy" / "steps.html").read_text(encoding="utf-8")
    assert "underpowered; another learning rate: BertsWin: 0.0045 → 0.0015" in text


def test_the_evidence_of_a_rerun_is_found_by_its_study_and_profile(runs, conclude):
    again, claims = runs
    first, rerun = again(ratio(2.6, 2.0, 3.4))
    assert evidence_of(claims, conclude.results, rerun) == first
    with pytest.raises(ValueError, match="no claim of any paper"):
        evidence_of({}, conclude.results, rerun)


def test_folders_that_share_nothing_are_refused(runs, tmp_path):
    again, claims = runs
    first, rerun = again(ratio(2.4, 1.8, 3.2))
    with pytest.raises(ValueError, match="share no claim"):
        compare({}, first, rerun)
    with pytest.raises(FileNotFoundError):
        compare(claims, first, tmp_path)


RATES = "arm,learning rate,error,chosen\n{}"


def test_rates_that_turned_are_named_however_a_study_marks_them(tmp_path):
    first, rerun = tmp_path / "first", tmp_path / "rerun"
    for folder, chosen in ((first, "0.0045"), (rerun, "0.0015")):
        folder.mkdir()
        rows = [f"MAE-ViT,{rate},0.5,{rate == '0.0045'}" for rate in ("0.0015", "0.0045")]
        rows += [f"BertsWin,{rate},0.5,{rate == chosen}" for rate in ("0.0015", "0.0045")]
        rows += [f"Small,0.0015,0.5,{chosen}"]
        (folder / "learning_rates.csv").write_text(RATES.format("\n".join(rows) + "\n"))
    assert sorted(rates_that_turned(first, rerun)) == ["BertsWin: 0.0045 → 0.0015", "Small: 0.0045 → 0.0015"]
    assert list(rates_that_turned(first, tmp_path)) == []
