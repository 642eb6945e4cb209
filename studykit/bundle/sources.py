"""Which volumes the notebook of a study asks for: by the study's set-up, and by what its cells name."""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from studykit.arms.profiles import Profile
from studykit.arms.setups import profile_of, setup_of
from studykit.notebooks.catalogue import notebook_of, notebooks, study_of

VOLUMES = ("prepared_source", "open_labelled")


@dataclass(frozen=True)
class Volumes:
    """A source as it is prepared; ``labelled`` where each label map gives one volume."""

    source: str
    spacing_mm: float
    intensity: str = "auto"
    labelled: bool = False


def volumes_of(
    study: str, profile: str, given: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Volumes, ...]:
    """What the notebook of a study takes at a profile, each once.

    Its cells are read, not run: a source or a study that they name by a plain text is found, whatever spacing
    they compute is taken to be the profile's.

    Args:
        given: parameters of the notebook; ``data`` and ``spacing_mm`` among them change what it takes.
    """
    stem = notebook_of(study)
    data, spacing_mm = given.get("data"), given.get("spacing_mm")
    own = _sizes(study_of(stem), profile, spacing_mm)
    found: dict[Volumes, None] = dict.fromkeys(_of_setup(study_of(stem), own, data))
    for call, first, named in _calls(stem):
        if call == "open_study" and first:
            sizes = _sizes(first, profile, spacing_mm)
            found |= dict.fromkeys(_of_setup(first, sizes, named.get("data") or data))
        elif call in VOLUMES and first:
            intensity = named.get(2) or named.get("intensity") or "auto"
            spacing = named.get(1) or named.get("spacing_mm") or own.spacing_mm
            found[Volumes(first, float(spacing), str(intensity), call == "open_labelled")] = None
    return tuple(found)


def _sizes(study: str, profile: str, spacing_mm: float | None) -> Profile:
    sizes: Profile = profile_of(setup_of(study), profile)
    return sizes if spacing_mm is None else replace(sizes, spacing_mm=spacing_mm)


def _of_setup(study: str, sizes: Profile, data: str | None = None) -> Iterator[Volumes]:
    """Volumes of a study, those it tests on among them."""
    setup = setup_of(study)
    labelled = bool(setup.labels)
    yield Volumes(data or setup.source_at(sizes), sizes.spacing_mm, setup.intensity, labelled)
    for source in setup.tests_at(sizes).values():
        yield Volumes(source, sizes.spacing_mm, labelled=labelled)


def _calls(stem: str) -> Iterator[tuple[str, str | None, dict[int | str, Any]]]:
    """Calls in a notebook: what is called, its first argument, and all plain values, by place or by name.

    A first argument that is no plain text is None.
    """
    content = json.loads(notebooks()[stem].read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = [*enumerate(node.args), *((word.arg, word.value) for word in node.keywords)]
                plain = {at: value.value for at, value in given if isinstance(value, ast.Constant)}
                first = plain.get(0)
                yield node.func.id, first if isinstance(first, str) else None, plain
