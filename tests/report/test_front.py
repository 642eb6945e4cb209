"""The README's part on each paper: rewritten whole, from the verdicts alone."""

from dataclasses import replace

import pytest
from toy_paper import ratio

from studykit.claims.estimate import Estimate
from studykit.report.answer import Answer, Sentence
from studykit.report.evidence import gather
from studykit.report.front import BEGIN, END, front, update_readme

README = f"# Kit\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def test_a_paper_is_its_title_its_source_its_answer_and_a_figure(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("count", "gpu", Estimate.exact(538.2, unit="GFLOP"), figures=(), notebook=None)
    answers = {"toy": Answer((Sentence("Only {steps}.", {"steps": ("supported",)}),))}
    block = front(gather(conclude.results, papers), papers, answers, "results/")
    assert block == (
        "### A <toy> paper\n\n"
        "[arXiv:2512.00000](https://arxiv.org/abs/2512.00000); sources read: abstract.\\\n"
        "**Short answer:** Only 2.40× [1.80, 3.30]. See [figure](results/speed/laptop/curves.svg), "
        "[every claim](results/SUMMARY.md#toy), [notes](papers/toy/NOTES.md).\n\n"
        '<a href="results/speed/laptop/curves.svg"><img src="results/speed/laptop/curves.svg" '
        'width="680" alt="Error of &quot;both&quot; arms"></a>'
    )


def test_the_first_paper_with_a_picture_alone_shows_it(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    twice = {"before": replace(papers["toy"], name="before"), **papers, "toy again": papers["toy"]}
    found = gather(conclude.results, papers)
    found += tuple(replace(row, claim=replace(row.claim, paper="toy again")) for row in found)
    block = front(found, twice, {}, "results/")
    assert block.count("<img") == 1 and block.count("[figure]") == 2
    assert block.index("[figure]") < block.index("<img") < block.rindex("[figure]")


def test_a_paper_without_verdicts_says_so_and_shows_nothing(conclude, papers):
    block = front(gather(conclude.results, papers), papers, {}, "results/")
    assert "**Short answer:** Its 4 claims are written and not yet run. See [every claim]" in block
    assert "<img" not in block and "[figure]" not in block


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
