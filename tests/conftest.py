"""A study and single runs on small heads, in folders of their own."""

import locale
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_study import STUDY, tiny_profile, write_heads

from studykit.arms import profiles, setups
from studykit.layers import minkowski

os.environ.setdefault("MPLBACKEND", "Agg")
LOCALE = locale.setlocale(locale.LC_ALL)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What needs a card is skipped without one; what needs MinkowskiEngine is skipped without it, unless
    ``STUDYKIT_REQUIRE_MINKOWSKI`` is set."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    wanted = item.get_closest_marker("minkowski") and not os.environ.get("STUDYKIT_REQUIRE_MINKOWSKI")
    if wanted and not minkowski.available():
        pytest.skip("MinkowskiEngine is not installed: make minkowski")


def pytest_make_parametrize_id(val):
    """Bytes by their number: those of gzip hold the time, and workers have to agree on the tests' names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def same_locale() -> None:
    """ITK, which tests call too, leaves the process in the C locale, where text is ASCII."""
    locale.setlocale(locale.LC_ALL, LOCALE)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """No figure outlives its test; nothing is imported for a test that draws none."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the volumes of five subjects."""
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Path) -> Path:
    """Where results go in this test; decoded volumes are shared by all tests, results are not."""
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("STUDYKIT_DATA", str(decoded))
    return tmp_path / "results"


@pytest.fixture
def tiny(results: Path, heads: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Opens the convergence study on the small heads; every profile but ``paper`` has the tiny sizes."""
    from studykit.study import Study, open_study

    for name in ("smoke", "laptop", "gpu"):
        monkeypatch.setitem(profiles.PRETRAINING, name, tiny_profile(name))
    monkeypatch.delitem(setups._SETUPS, STUDY)

    def make(profile: str = "smoke", **settings: object) -> Study:
        return open_study(STUDY, profile, **{"data": f"folder:{heads}", **settings})

    return make


@pytest.fixture
def small(results: Path, heads: Path) -> SimpleNamespace:
    """Runs on the small heads, executed by hand: recipe, volumes, and what executes a configuration."""
    from tiny_run import RECIPE

    from studykit.data.sources import prepared_source
    from studykit.data.splits import split_subjects
    from studykit.runs import training_run
    from studykit.runs.store import RunStore

    prepared = prepared_source(f"folder:{heads}", 4.0)
    split = split_subjects([v.subject for v in prepared.volumes], seed=0, val=1, test=0.3)
    recipe = replace(
        RECIPE, source=f"folder:{heads}", fingerprint=prepared.fingerprint, train=split.train,
        held_out=split.test,
    )  # fmt: skip
    store = RunStore(results / "runs")
    return SimpleNamespace(
        recipe=recipe,
        prepared=prepared,
        execute=lambda own: store.execute(own, "a run", lambda run: training_run.work(run)),
    )
