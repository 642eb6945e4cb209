"""Notebooks by name, and their parameters."""

import nbformat
import pytest

from studykit.notebooks import (
    check_parameters,
    execution,
    notebook_of,
    notebooks,
    parameters_of,
    run_batch,
    run_notebook,
)


def test_notebooks_are_found_by_stem_and_by_study(checkout):
    assert list(notebooks()) == ["01_good", "02_bad", "03_slow", "99_summary"]
    assert notebook_of("02_bad") == notebook_of("bad") == "02_bad"
    with pytest.raises(ValueError, match=r"No notebook for 'scratch'\. Known: good, bad, slow"):
        notebook_of("scratch")


def test_parameters_are_read_as_python(checkout):
    assert parameters_of("01_good") == {
        "profile": "'smoke'", "seeds": "[0, 1]", "label": "'a = b # c'", "data": "None",
    }  # fmt: skip
    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("profile = 'smoke'")])
    nbformat.write(plain, checkout / "notebooks" / "05_plain.ipynb")
    assert parameters_of("05_plain") == {}


def test_unknown_parameters_and_profiles_list_the_known_ones_and_run_nothing(checkout, monkeypatch):
    monkeypatch.setattr(execution.subprocess, "Popen", lambda *_, **__: pytest.fail("a notebook was started"))
    with pytest.raises(
        ValueError, match=r"01_good has no parameter lables, sedes\. Known: profile, seeds, label"
    ):
        check_parameters("01_good", {"sedes": 1, "lables": 2, "profile": "smoke"})
    with pytest.raises(ValueError, match="01_good has no parameter sedes"):
        run_notebook("01_good", {"sedes": 1})
    with pytest.raises(ValueError, match=r"No notebook has the parameter sedes\. Known: data, label"):
        run_batch(["01_good", "02_bad"], {"sedes": 1})
    for profile in ("tiny", "../../elsewhere"):
        with pytest.raises(ValueError, match=r"Unknown profile .*Known: smoke, laptop, gpu, paper"):
            run_batch(["01_good"], {"profile": profile})
    with pytest.raises(ValueError, match="No notebook for '07_gone'"):
        run_batch(["01_good", "07_gone"], {})
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        run_batch(["01_good"], {}, jobs=0)
    assert not (checkout / "results").exists()
