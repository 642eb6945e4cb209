"""What a code host and an editor read: it parses, calls what there is, and holds the pinned versions."""

import json
import re

import pytest
import yaml

from studykit.home import home

FORMS = sorted((home() / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
pytestmark = pytest.mark.skipif(not FORMS, reason="a copy without .github, as a bundle carries it")


def text_of(name: str) -> str:
    return (home() / name).read_text(encoding="utf-8")


def test_the_workflow_calls_the_two_commands_and_every_target_is_one():
    jobs = yaml.safe_load(text_of(".github/workflows/test.yml"))["jobs"]
    called = jobs["commands"]["strategy"]["matrix"]["command"]
    assert called == ["make study", "make test"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^(\w+):", text_of("Makefile"), re.M)
    assert {line.split()[1] for line in (*called, *runs) if line.startswith("make ")} <= set(targets)


@pytest.mark.parametrize("form", [path.name for path in FORMS if path.name != "config.yml"])
def test_a_form_asks_what_it_needs(form):
    asked = yaml.safe_load(text_of(f".github/ISSUE_TEMPLATE/{form}"))
    assert asked["name"] and asked["description"]
    ids = [field["id"] for field in asked["body"]]
    assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in asked["body"])


def test_ruff_before_a_commit_is_the_one_that_is_pinned():
    hooks = {
        hook["repo"].rpartition("/")[2]: hook
        for hook in yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    }
    (pin,) = re.findall(r"^ruff==(.+)$", text_of("constraints.txt"), re.M)
    assert hooks["ruff-pre-commit"]["rev"] == f"v{pin}"


def test_the_dev_container_sets_itself_up_by_make():
    container = json.loads(text_of(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"].removeprefix("make ") in text_of("Makefile")


def test_continuous_integration_brings_a_browser_before_the_tests():
    before, found, _ = text_of(".ci/run").partition(" make test\n")
    assert found and re.search(r"^  apt-get install .*chromium", before, re.M)
    assert "make minkowski" in before and "make .venv/bin/sphinx-build" in before
