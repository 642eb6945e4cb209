"""A study on small heads, in folders of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import STUDY, tiny_profile, write_heads

from studykit import profiles


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

    def make(profile: str = "smoke", **settings: object) -> Study:
        return open_study(STUDY, profile, **{"data": f"folder:{heads}", **settings})

    return make
