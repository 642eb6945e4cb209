"""Is a run the evidence's or one's own? Every parameter of every notebook, asked in all three places."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from studykit.arms.ownership import HARDWARE, own_parameters
from studykit.claims.paper import studies
from studykit.home import evidence_dir
from studykit.notebooks import catalogue, execution, notebooks, parameters_of, run_notebook, study_of
from studykit.study import Study, evidence, open_study, opening

PROFILES = ("smoke", "laptop", "gpu")
DECLARED = {stem: parameters_of(stem) for stem in notebooks()}
STUDIES = studies()
EVERY = [(stem, name) for stem in DECLARED for name in DECLARED[stem] if name != "profile"]
TAKEN: dict[str, Callable[[Study], Any]] = {
    "data": lambda study: study.source,
    "seeds": lambda study: list(study.seeds),
    "spacing_mm": lambda study: study.profile.spacing_mm,
    "nproc": lambda study: study.nproc,
}
"""What a study takes where a parameter is not given."""
CHANGED: dict[str, Callable[[Any], list[Any]]] = {
    "data": lambda source: ["folder:elsewhere"],
    "seeds": lambda seeds: [[*seeds, len(seeds)], [len(seeds) + 7]],
    "spacing_mm": lambda spacing: [2 * spacing, spacing + 0.01],
    "nproc": lambda nproc: [2],
}


def default_of(stem: str, name: str, profile: str) -> Any:
    """The default of a notebook's parameter as its study takes it; a tour's is the one it declares."""
    if study_of(stem) in STUDIES:
        return TAKEN[name](open_study(study_of(stem), profile))
    return json.loads(DECLARED[stem][name].replace("'", '"'))


@pytest.fixture(autouse=True)
def opens_at_once(monkeypatch):
    """What opening a study asks git and the papers for, which is not asked here, is not read each time."""
    monkeypatch.setattr(evidence, "provenance", dict)
    monkeypatch.setattr(opening, "studies", lambda: STUDIES)


@pytest.fixture
def places(results, monkeypatch):
    """Where the evidence of a notebook with these parameters would go, by each one that decides it."""

    def pretend(source, draft, parameters, **settings):
        draft.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return ""

    monkeypatch.setattr(execution, "execute", pretend)
    monkeypatch.setattr(catalogue, "parameters_of", DECLARED.get)

    def ask(stem, profile, **given):
        own = own_parameters(study_of(stem), profile, given)
        found = [evidence_dir(study_of(stem), profile, own=bool(own))]
        found.append(run_notebook(stem, {"profile": profile, **given}).output.parent)
        if study_of(stem) in STUDIES:
            found.append(open_study(study_of(stem), profile, **given).folder)
        return {place.name for place in found}

    return ask


@pytest.mark.parametrize("stem", list(DECLARED))
def test_every_parameter_of_a_notebook_is_known_and_given_as_nothing_is_the_default(stem):
    nothing = dict.fromkeys(DECLARED[stem])
    for profile in PROFILES:
        assert own_parameters(study_of(stem), profile, nothing) == ()
    assert set(nothing) <= {"profile", *TAKEN}, "add to TAKEN and CHANGED what this test has to know of it"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("stem", "name"), EVERY)
def test_a_default_spelled_out_is_the_default_and_a_change_is_ones_own(places, stem, name, profile):
    default = default_of(stem, name, profile)
    assert places(stem, profile, **{name: default}) == {profile}
    kept = profile if name in HARDWARE else f"{profile}-own"
    for value in CHANGED[name](default):
        assert value != default and places(stem, profile, **{name: value}) == {kept}
        assert own_parameters(study_of(stem), profile, {name: value}) == (() if name in HARDWARE else (name,))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stem", list(DECLARED))
def test_all_defaults_together_are_the_evidences_and_one_change_among_them_is_seen(places, stem, profile):
    names = [name for name in DECLARED[stem] if name != "profile"]
    defaults = {name: default_of(stem, name, profile) for name in names}
    assert places(stem, profile, **defaults) == {profile}
    for name in set(names) - set(HARDWARE):
        changed = {**defaults, name: CHANGED[name](defaults[name])[0]}
        assert places(stem, profile, **changed) == {f"{profile}-own"}


def test_seeds_are_the_default_as_a_list_and_as_a_tuple_but_not_in_another_order():
    default = list(open_study("bertswin-convergence").seeds)
    count = len(default)
    same = (default, tuple(default), count)
    for given, own in (*((one, ()) for one in same), (default[::-1], ("seeds",)), (count + 1, ("seeds",))):
        assert own_parameters("bertswin-convergence", "smoke", {"seeds": given}) == own


def test_a_default_of_another_profile_is_a_change():
    smoke, laptop = (open_study("waveformer-efficiency", profile) for profile in ("smoke", "laptop"))
    given = {"data": laptop.source, "spacing_mm": laptop.profile.spacing_mm, "seeds": laptop.seeds}
    assert own_parameters("waveformer-efficiency", "laptop", given) == ()
    differing = tuple(
        name for name in ("data", "seeds", "spacing_mm") if TAKEN[name](smoke) != TAKEN[name](laptop)
    )
    assert differing and own_parameters("waveformer-efficiency", "smoke", given) == differing


def test_a_parameter_that_nothing_is_known_about_is_refused():
    with pytest.raises(ValueError, match=r"Unknown parameter labels, sedes\. Known: data, seeds, spacing_mm"):
        own_parameters("bertswin-convergence", "smoke", {"sedes": [0], "labels": 3})
    with pytest.raises(ValueError, match=r"Unknown profile 'tiny'\. Known: smoke"):
        own_parameters("bertswin-convergence", "tiny", {})
