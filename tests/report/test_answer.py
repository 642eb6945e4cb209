"""An answer's numbers come from the verdicts, and its words give way once those move."""

import re

import pytest
from toy_paper import ratio

from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.claims.verdict import NOT_EVALUATED
from studykit.home import results_dir
from studykit.report.answer import (
    Answer,
    Point,
    Sentence,
    concerned,
    headline,
    in_words,
    load_answers,
    outdated,
    pictured,
    short_answer,
)
from studykit.report.evidence import gather

NUMBERED = re.compile(r"\{[^}]*\}")
SAID = Answer((Sentence("It is {steps}, not {steps.reported}.", {"steps": ("partially reproduced",)}),))


def rows(conclude, papers):
    return gather(conclude.results, papers)


def test_numbers_are_filled_in(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    assert short_answer(SAID, rows(conclude, papers)) == "It is 2.40× [1.80, 3.30], not 5.8×."
    assert outdated(SAID, rows(conclude, papers)) == []


def test_a_sentence_gives_way_when_its_verdict_moves(conclude, papers):
    conclude.write("steps", "laptop", ratio(0.5, 0.4, 0.6))
    said = short_answer(SAID, rows(conclude, papers))
    assert said == (
        '“Faster <by far> & "cheaper", as they say.” Not reproduced: 0.50× [0.40, 0.60] '
        "against 5.8× reported."
    )
    (line,) = outdated(SAID, rows(conclude, papers))
    assert line == "steps: written for 'partially reproduced', now 'not reproduced' (opposite)"


@pytest.mark.parametrize("held", ["supported", "partially reproduced"])
def test_a_sentence_is_held_to_a_verdict_or_to_a_finding(conclude, papers, held):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    answer = Answer((Sentence("So.", {"steps": (held,)}),))
    assert short_answer(answer, rows(conclude, papers)) == "So."
    both = Answer((Sentence("So.", {"steps": (held, "exploratory")}),))
    assert short_answer(both, rows(conclude, papers)) != "So."


def test_a_point_has_numbers_and_gives_way_too_where_it_is_held_to_a_verdict(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    held, free = {"steps": ("opposite",)}, Point(("late",), "On [one](a.md) machine, {steps}.")
    assert in_words(free, rows(conclude, papers)) == "On [one](a.md) machine, 2.40× [1.80, 3.30]."
    assert concerned(free) == {"late", "steps"}
    moved = Point(("steps",), "It is slower.", held)
    assert "Partially reproduced: 2.40×" in in_words(moved, rows(conclude, papers))
    assert len(outdated(Answer(points=(moved, free)), rows(conclude, papers))) == 1


def test_without_an_answer_the_verdicts_speak_and_reported_numbers_go_first(conclude, papers):
    conclude.write("count", "laptop", Estimate.exact(538.2, unit="GFLOP"))
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    said = short_answer(Answer(), rows(conclude, papers))
    assert "Partially reproduced: 2.40×" in said and "Not reproduced: 538.2 GFLOP" in said
    assert short_answer(Answer(), []) == "It has no claims yet."


def test_the_headline_is_the_first_sentence_or_the_first_verdict_in_its_place(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("flops", "laptop", ratio(2.4, 1.8, 3.3))
    when = {"steps": ("supported",), "flops": ("supported",)}
    answer = Answer((Sentence("So {steps}.", when), Sentence("And so.", when)))
    assert headline(answer, rows(conclude, papers)) == "So 2.40× [1.80, 3.30]."
    moved = Answer((Sentence("So.", {"steps": ("opposite",), "flops": ("opposite",)}),))
    said = headline(moved, rows(conclude, papers))
    assert said.count("Partially reproduced") == 1 and short_answer(moved, rows(conclude, papers)) != said


def test_what_was_run_too_little_to_judge_is_not_called_not_run(conclude, papers):
    conclude.write("steps", "laptop", None)
    assert short_answer(Answer(), rows(conclude, papers)) == "Its 4 claims are written and not yet judged."


def test_a_paper_of_one_claim_says_so(conclude, papers):
    assert short_answer(Answer(), rows(conclude, papers)[:1]) == "Its claim is written and not yet run."


def test_an_unknown_claim_is_refused(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    with pytest.raises(ValueError, match="an answer names stpes; known claims: steps, flops"):
        short_answer(Answer((Sentence("{stpes}", {"steps": ("supported",)}),)), rows(conclude, papers))


def test_the_picture_is_the_answers_own_where_it_is_drawn(conclude, papers):
    assert pictured(Answer(figure="flops"), rows(conclude, papers)) is None
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    assert pictured(Answer(figure="flops"), rows(conclude, papers)).claim.id == "steps"
    conclude.write("flops", "laptop", ratio(2.4, 1.8, 3.3))
    assert pictured(Answer(figure="flops"), rows(conclude, papers)).claim.id == "flops"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("figure = 3", "key 'figure' must be str"),
        ("fig = 'a'", "unknown key"),
        ("[[sentences]]\nwords = 'a'\nwhen = {}", "must give claims verdicts"),
        ("[[sentences]]\nwords = 'a'\nwhen = { a = [1] }", "must give claims verdicts"),
        ("[[points]]\nclaims = ['a']\nwords = 'a'\nwhen = {}", "must give claims verdicts"),
        ("=", "not valid TOML"),
    ],
)
def test_a_malformed_answer_is_refused_with_its_file_or_left_out(tmp_path, text, reason):
    for paper, content in {"toy": text, "other": ""}.items():
        (tmp_path / paper).mkdir()
        (tmp_path / paper / "answer.toml").write_text(content)
    with pytest.raises(ValueError, match=rf"answer\.toml.*{reason}"):
        load_answers(tmp_path, strict=True)
    with pytest.warns(UserWarning, match=rf"answer\.toml.*{reason}.*; the verdicts speak"):
        assert load_answers(tmp_path) == {"other": Answer()}


# ---- the answers that are committed


@pytest.mark.parametrize("name", sorted(load_answers(strict=True)))
def test_every_committed_sentence_still_stands_and_names_no_number_of_its_own(name):
    answer = load_answers()[name]
    found = [e for e in gather(results_dir(), load_papers()) if e.claim.paper == name]
    assert outdated(answer, found) == []
    known = {evidence.claim.id for evidence in found}
    assert answer.figure in known
    assert {claim for point in answer.points for claim in point.claims} <= known
    for part in (*answer.sentences, *answer.points):
        bare = re.sub(r"224³|512³|\bL2\b|\bHD95\b|(?<=\])\([^)]+\)", "", part.words)
        if part in answer.sentences or part.when:
            assert not any(character.isdigit() for character in NUMBERED.sub("", bare)), part.words
    spoken = set().union(*map(concerned, (*answer.sentences, *answer.points)))
    assert {e.claim.id for e in found if e.status != NOT_EVALUATED} <= spoken


@pytest.mark.parametrize("name", sorted(load_answers(strict=True)))
def test_every_link_of_a_committed_point_leads_to_evidence(name):
    links = [
        link for point in load_answers()[name].points for link in re.findall(r"\]\(([^)]+)\)", point.words)
    ]
    assert links and [link for link in links if not (results_dir() / link).is_file()] == []
