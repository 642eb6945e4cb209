"""The README's part on each paper: rewritten whole, from the verdicts alone."""

import pytest
from toy_paper import ratio

from studykit.claims.estimate import Estimate
from studykit.report.answer import Answer, Sentence
from studykit.report.evidence import gather
from studykit.report.front import BEGIN, END, counted, front, update_readme

README = f"# Kit\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def test_a_paper_is_its_title_its_source_its_answer_its_verdicts_and_a_figure(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("count", "gpu", Estimate.exact(538.2, unit="GFLOP"), figures=(), notebook=None)
    answers = {"toy": Answer((Sentence("Only {steps}.", {"steps": ("supported",)}),))}
    block = front(gather(conclude.results, papers), papers, answers, "results/")
    assert block == (
        "### A <toy> paper\n\n"
        '<a href="results/speed/laptop/curves.svg"><img src="results/speed/laptop/curves.svg" align="right" '
        'width="300" alt="Error of &quot;both&quot; arms"></a>\n'
        "[arXiv:2512.00000](https://arxiv.org/abs/2512.00000); sources read: abstract.\\\n"
        "**Short answer:** Only 2.40× [1.80, 3.30].\\\n"
        "Verdicts, exact and reduced-scale evidence: "
        "reported numbers: 1 partially reproduced, 2 not evaluated; "
        "arithmetic: 1 not reproduced.\\\n"
        "[Every claim, its rule and its figures](results/SUMMARY.md#toy), [notes](papers/toy/NOTES.md)\n\n"
        '<br clear="right">'
    )


def test_a_paper_without_verdicts_says_so_and_shows_nothing(conclude, papers):
    block = front(gather(conclude.results, papers), papers, {}, "results/")
    assert "None of its 4 claims has been judged yet." in block
    assert "Verdicts" not in block and "<img" not in block


def test_kinds_are_counted_apart_and_derived_claims_not_at_all(conclude, papers):
    rows = gather(conclude.results, papers)
    assert counted(rows) == "reported numbers: 3 not evaluated; arithmetic: 1 not evaluated"


def test_the_block_is_rewritten_and_stays(conclude, papers, tmp_path):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    readme = tmp_path / "README.md"
    readme.write_text(README)
    update_readme(readme, conclude.results, papers, {})
    first = readme.read_text(encoding="utf-8")
    assert first.startswith(f"# Kit\n\nBefore.\n\n{BEGIN}\n") and first.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in first and "(results/SUMMARY.md#toy)" in first
    update_readme(readme, conclude.results, papers, {})
    assert readme.read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    "text", ["# Kit\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", README + README, f"{BEGIN}{BEGIN}{END}"]
)
def test_a_readme_without_its_markers_is_left_alone(conclude, papers, tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match="claims:begin"):
        update_readme(readme, conclude.results, papers, {})
    assert readme.read_text(encoding="utf-8") == text
