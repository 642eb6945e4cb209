"""The suite takes an addition as it comes: a paper, its claim and study, a loss, without a list to amend."""

import subprocess
import sys

import pytest
from test_wheel import copy_of_the_tree

LOSS = '''\
"""A loss of somebody's own: the squared error again."""

from studykit.losses.reconstruction import L2Loss


class TwiceL2Loss(L2Loss):
    """As :class:`L2Loss`, under another name.

    >>> TwiceL2Loss.terms
    ('l2',)
    """
'''
ABOUT_ADDITIONS = (
    "tests/claims/test_paper.py", "tests/arms/test_setups.py", "tests/methods/test_method.py",
    "tests/study/test_opening.py", "tests/test_committed_notebooks.py", "tests/test_docs.py",
    "tests/test_doctests.py", "tests/test_floors.py", "tests/test_readme.py", "tests/studies/mine",
)  # fmt: skip
"""Files that go through all papers, notebooks, studies or losses."""


@pytest.mark.notebook
def test_a_paper_a_claim_and_a_loss_of_ones_own_pass_the_suite_as_it_is(tmp_path, monkeypatch):
    tree = copy_of_the_tree(tmp_path / "tree")
    for name in ("STUDYKIT_RESULTS", "STUDYKIT_DRY_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STUDYKIT_HOME", str(tree))
    monkeypatch.setenv("PYTHONPATH", str(tree))

    def call(*command: str) -> None:
        done = subprocess.run([sys.executable, "-m", *command], cwd=tree, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    call("studykit", "new", "own-paper/mine")
    (tree / "studykit" / "losses" / "twice.py").write_text(LOSS, encoding="utf-8")
    names = tree / "studykit" / "losses" / "__init__.py"
    text = names.read_text(encoding="utf-8")
    text = text.replace('"l2": L2Loss,', '"l2": L2Loss, "twice": TwiceL2Loss,')
    text = text.replace(
        "from studykit.registry", "from studykit.losses.twice import TwiceL2Loss\nfrom studykit.registry"
    )
    names.write_text(text, encoding="utf-8")
    call("studykit", "run", "--in-place", "mine")
    call("studykit", "report")
    call("pytest", "-q", "-p", "no:cacheprovider", "-m", "not notebook", *ABOUT_ADDITIONS)
