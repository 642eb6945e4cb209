"""What the cells of a notebook would train, found by running those that name arms and what these build on.

No volume is read and nothing is trained: a study that they open has subjects by number, knows its sizes, and
writes down the runs that it is asked for. Arms that are named after a tuning are among them, at the first of
their rates. Cells that look at data or results are left out.
"""

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pandas as pd

import studykit.study as rooms
from studykit.arms.arm import Arm
from studykit.arms.profiles import TransferProfile
from studykit.arms.tuning import candidate_rates
from studykit.data.splits import Split
from studykit.notebooks.catalogue import notebook_of, notebooks
from studykit.runs.store import Run
from studykit.study import Study, open_study
from studykit.study.trials import Trials

NAMING = ("arm", "tune", "tune_all", "run", "run_all", "with_labels")
"""Methods of a study whose cells are run."""
CLASSES = 8
"""Of a segmentation, the background among them: what designs of heads have, or nearly."""


class NamedTrials(Trials):
    """Trials that are written down: every run that was asked for, by key."""

    def __init__(self, *settings: Any, asked: dict[str, tuple[str, str, Run]]) -> None:
        super().__init__(*settings)
        self.asked = asked

    def _make(self, runs: list[Run]) -> list[Run]:
        for run in runs:
            arm, _ = self.whose[run.key]
            self.asked.setdefault(run.key, (self.study, arm, run))
        return runs

    def tune_all(self, arms: Iterable[Arm | str]) -> list[tuple[Arm, pd.DataFrame]]:
        """Each arm at its first rate; its tuning runs are written down, those past the edge are not."""
        found = []
        for arm in self.chosen(arms):
            if arm.starts_from:
                self._make(self._chain(arm, self.seeds[0])[:-1])
            self._make(self._tuning_runs(arm))
            rates = candidate_rates(arm, self.ground.profile)
            table = pd.DataFrame(
                {"arm": arm.name, "learning rate": rates, "error": 1.0, "state": "done"},
                columns=["arm", "learning rate", "error", "state"],
            )
            found.append((arm.at_rate(rates[0]), table))
        self.arms |= {arm.name: arm for arm, _ in found}
        return found

    def expect(self, arms: Iterable[Arm | str] | None = None) -> pd.DataFrame:
        """No minutes: nothing is timed."""
        return pd.DataFrame([{"arm": arm.name, "minutes": 0.0} for arm in self.chosen(arms)])


def runs_named(study: str, profile: str) -> tuple[dict[str, tuple[str, str, Run]], str]:
    """Runs that the notebook of a study asks for at a profile: study, arm and run, by key.

    Also which statement that names arms could not be run, and why; empty where all could.

    Raises:
        ValueError: unknown study or profile; the message lists the known ones.
    """
    asked: dict[str, tuple[str, str, Run]] = {}

    def opened(*given: Any, **named: Any) -> Study:
        study = open_study(*given, **named)
        _stand_in(study)
        study.trials = NamedTrials(study.ground, study.seeds, 1, study.trials.store, asked=asked)
        return study

    cells, trouble = _cells(notebook_of(study)), ""
    namespace: dict[str, Any] = {"print": _silent, "display": _silent}
    with patch.object(rooms, "open_study", opened), _without_volumes():
        for statement in _needed(cells, profile):
            try:
                exec(compile(ast.Module([statement], []), study, "exec"), namespace)
            except Exception as error:
                if _names_arms(statement):
                    first = ast.unparse(statement).partition("\n")[0]
                    trouble = trouble or f"{first}: {type(error).__name__}: {error}"
    return asked, trouble


def _cells(stem: str) -> list[tuple[bool, str]]:
    """Code cells, and whether each holds the parameters."""
    content = json.loads(notebooks()[stem].read_text(encoding="utf-8"))
    return [
        ("parameters" in cell["metadata"].get("tags", []), "".join(cell["source"]))
        for cell in content["cells"]
        if cell["cell_type"] == "code"
    ]


def _needed(cells: Sequence[tuple[bool, str]], profile: str) -> Iterator[ast.stmt]:
    """Of the cells that name arms, and before them those whose names they use; the profile is set."""
    trees = [ast.parse(f"{source}\nprofile = {profile!r}" if given else source) for given, source in cells]
    needed, wanted = set(), set()
    for number in reversed(range(len(trees))):
        used, made = _names(trees[number])
        if _names_arms(trees[number]) or made & wanted or cells[number][0]:
            needed.add(number)
            wanted |= used
    for number in sorted(needed):
        yield from trees[number].body


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names that a cell reads, and names that it makes."""
    used, made = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).partition(".")[0])
    return used, made


def _names_arms(tree: ast.AST) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Attribute) and called.attr in NAMING for called in calls)


def _stand_in(study: Study) -> None:
    """Subjects by number in place of volumes."""
    ground, sizes = study.ground, study.profile
    counts = {"train": 7, "val": 1, "test": 3}
    if isinstance(sizes, TransferProfile):
        counts = {part: getattr(sizes, part) for part in counts}
    parts = {part: tuple(f"{part}-{n}" for n in range(count)) for part, count in counts.items()}
    prepared = SimpleNamespace(fingerprint="none", volumes=())
    vars(ground)["split"] = Split(**parts)
    vars(ground)["data"] = vars(ground)["images"] = prepared
    if not isinstance(sizes, TransferProfile):
        return
    names = ("background", *(f"class {n}" for n in range(1, CLASSES)))
    vars(ground)["labelled"] = SimpleNamespace(classes=names[1:], prepared=prepared)
    vars(ground)["label_subsets"] = {
        share: parts["train"][: max(round(share * len(parts["train"])), 1)] for share in sizes.label_fractions
    }
    traits = ("sex", "disease")
    vars(ground)["traits"] = SimpleNamespace(
        names=traits, values=dict.fromkeys(traits, ("no", "yes")), of={}, having=lambda name, ids: tuple(ids)
    )


@contextmanager
def _without_volumes() -> Iterator[None]:
    """While open, whoever asks for volumes is refused."""

    def refused(*given: Any, **named: Any) -> Any:
        raise LookupError("volumes are not read here")

    readers: Mapping[str, str] = {
        "studykit.data.sources": "prepared_source",
        "studykit.data.labelled": "open_labelled",
        "studykit.data.angiography.cohort": "open_angiography",
        "studykit.data.traits": "open_traits",
    }
    patches = [patch(f"{module}.{name}", refused) for module, name in readers.items()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


_silent: Callable[..., None] = lambda *given, **named: None  # noqa: E731
