"""The old name of :mod:`studykit.notebooks`."""

import pytest

import studykit.batch
from studykit.notebooks import portable
from studykit.notebooks.batch import run_batch


def test_names_of_before_are_found_with_a_word_on_where_they_are():
    with pytest.warns(DeprecationWarning, match=r"use studykit\.notebooks\.batch, where run_batch is"):
        assert studykit.batch.run_batch is run_batch
    with pytest.warns(DeprecationWarning, match=r"studykit\.notebooks\.portable"):
        assert studykit.batch.relinked is portable.relinked


def test_a_name_that_never_was_is_refused():
    with pytest.raises(AttributeError, match=r"studykit\.notebooks has what was here"):
        studykit.batch.nothing  # noqa: B018
