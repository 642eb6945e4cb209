"""A claim's page: the figure that decides before the words, and everything that the verdict rests on."""

from dataclasses import replace

from read_page import Page
from toy_paper import ratio

from studykit.claims.claim import FirstProtocol
from studykit.report.claim_page import claim_page, place
from studykit.report.evidence import gather
from studykit.report.terminal import claim_lines


def page_of(conclude, papers, claim="steps"):
    rows = gather(conclude.results, papers)
    (at,) = (i for i, evidence in enumerate(rows) if evidence.claim.id == claim)
    before, after = rows[at - 1] if at else None, rows[at + 1] if at + 1 < len(rows) else None
    return claim_page(rows[at], papers["toy"], before, after)


def test_the_deciding_figure_comes_first_and_everything_follows(conclude, papers):
    figures = (("other.svg", "Another"), ("curves.svg", 'Error of "both" arms'))
    claims = (replace(papers["toy"].claims[0], figure="curves"), *papers["toy"].claims[1:])
    papers = {"toy": replace(papers["toy"], claims=claims)}
    beside = {"the baseline learns": ratio(1.5, 1.2, 1.9), "half way": ratio(0.9, 0.8, 1.1)}
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3), beside, figures=figures)
    text = page_of(conclude, papers)
    page = Page(text)
    link = "../../speed/laptop/curves.svg"
    assert page.all("img") == [{"src": link, "alt": 'Error of "both" arms'}]
    assert text.index("<img") < text.index("<h2>Finding") < text.index("<h2>Rule")
    links = [a["href"] for a in page.all("a")]
    assert {"../../speed/laptop/other.svg", "../../speed/laptop/01_speed.html"} <= set(links)
    caption = text.partition("<figcaption>")[2].partition("</figcaption>")[0]
    assert "95% interval" in caption and "half way" not in caption
    for needed in (
        'Faster <by far> & "cheaper", as they say.',
        "The criterion | is not stated.",
        "at least 5 repetitions",
        "the baseline learns: 1.50× [1.20, 1.90], passed",
        "half way: 0.90× [0.80, 1.10]",
        "Why partially reproduced: ",
        "01_speed.ipynb, as executed",
        "Toy CPU",
        "10 heads",
        "1.50 CPU core-hours",
        "A. Author, A <toy> paper, 2025, arXiv:2512.00000.",
        "claim toy/steps: partially reproduced, commit 0123456789abcdef",
    ):
        assert needed in page.words, needed
    assert "<by far>" not in text and "<toy>" not in text


def test_a_claim_without_evidence_has_its_rule_and_ways_to_its_neighbours(conclude, papers):
    text = page_of(conclude, papers, "flops")
    page = Page(text)
    assert (
        "No evidence yet; reported: 5.8×." in page.words
        and "Finding" not in page.words
        and not page.all("img")
    )
    links = [a["href"] for a in page.all("a")]
    assert links == [
        "../../index.html",
        "../../index.html#toy",
        "../../claims/toy/steps.html",
        "../../claims/toy/count.html",
    ]
    rows = gather(conclude.results, papers)
    assert place(rows[0]) == "claims/toy/steps.html"


def test_the_first_verdict_is_shown_even_where_its_runs_were_replaced(conclude, papers):
    given = {"claim": "toy/steps", "status": "inconclusive", "reason": "It holds 1.", "profile": "laptop"}
    first = FirstProtocol({}, "not reproduced")
    claims = (replace(papers["toy"].claims[0], first=first), *papers["toy"].claims[1:])
    told = {"toy": replace(papers["toy"], claims=claims)}
    for known, record, said in (
        (told, given, ("inconclusive", "It holds 1.")),
        (told, None, ("not reproduced", "Its runs were replaced since")),
        (papers, None, None),
    ):
        conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3), first=record)
        evidence = gather(conclude.results, known)[0]
        started = {**evidence.record.provenance, "started": "2026-11-20T06:00:00"}
        evidence = replace(evidence, record=replace(evidence.record, provenance=started))
        lines = "\n".join(claim_lines(evidence))
        page = Page(page_of(conclude, known)).words
        assert ("first protocol" in lines) == ("By the first protocol" in page) == (said is not None)
        if said:
            assert f"first protocol, {said[0]}: {said[1]}" in lines
            assert f"By the first protocol{said[0]}. {said[1]}" in page
