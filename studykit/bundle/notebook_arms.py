"""What the cells of a notebook would train, found by running what names arms and what that builds on.

No volume is read and nothing is trained: a study that they open has subjects by number, knows its sizes, and
writes down the runs that it is asked for. Arms that are named after a tuning are among them, at the first of
their rates. What looks at data or results is left out.
"""

import ast
import json
import symtable
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple
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
from studykit.study.tuning_runs import tuning_runs

NAMING = ("arm", "tune", "tune_all", "run", "run_all", "with_labels")
"""Methods of a study whose calls are run."""
CHANGING = ("append", "extend", "update", "add")
"""Methods that change what they are called on."""
CLASSES = 8
"""Of a segmentation, the background among them: what designs of heads have, or nearly."""


MEASURED: Mapping[str, float | None] = {"frozen_scores": None, "probe_loss": 1.0}
"""What stands for measures of a run by which a notebook chooses what comes next: of all alike, so that the
first is chosen."""


class Asked(NamedTuple):
    """A run that was asked for; its repetition is a seed, or ``tuning``."""

    study: str
    arm: str
    run: Run
    repetition: int | str


class NamedTrials(Trials):
    """Trials that are written down: every run that was asked for, by key."""

    def __init__(self, *settings: Any, asked: dict[str, Asked]) -> None:
        super().__init__(*settings)
        self.asked = asked

    def _make(self, runs: list[Run]) -> list[Run]:
        for run in runs:
            arm, repetition = self.whose[run.key]
            self.asked.setdefault(run.key, Asked(self.study, arm, run, repetition))
        return runs

    def tune_all(self, arms: Iterable[Arm | str]) -> list[tuple[Arm, pd.DataFrame]]:
        """Each arm at its first rate; its tuning runs are written down, those past the edge are not."""
        found = []
        for arm in self.chosen(arms):
            if arm.starts_from:
                self._make(self._chain(arm, self.seeds[0])[:-1])
            self._make(tuning_runs(self, arm))
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


def runs_named(study: str, profile: str) -> tuple[dict[str, Asked], str]:
    """Runs that the notebook of a study asks for at a profile, by key.

    Also which statement that names arms could not be run, and why; empty where all could.

    Raises:
        ValueError: unknown study or profile; the message lists the known ones.
    """
    asked: dict[str, Asked] = {}

    def opened(*given: Any, **named: Any) -> Study:
        study = open_study(*given, **named)
        _stand_in(study)
        study.trials = NamedTrials(study.ground, study.seeds, 1, study.trials.store, asked=asked)
        return study

    needed, trouble = [*_needed(_cells(notebook_of(study)), profile)], ""
    namespace: dict[str, Any] = {"print": _silent, "display": _silent}
    with patch.object(rooms, "open_study", opened):
        # Modules are imported as they are: what they import while readers are refused would stay refused.
        imports = [statement for statement in needed if isinstance(statement, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), study, "exec"), namespace)
        with _without_volumes(namespace):
            for statement in needed:
                if statement in imports:
                    continue
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
    """Statements that name arms, and before them those that make the names they use; the profile is set."""
    sources = [f"{source}\nprofile = {profile!r}" if given else source for given, source in cells]
    statements = [statement for source in sources for statement in ast.parse(source).body]
    namers: set[str] = set()
    for statement in statements:
        if isinstance(statement, ast.FunctionDef) and _names_arms(statement, namers):
            namers.add(statement.name)
    needed: list[ast.stmt] = []
    wanted: set[str] = set()
    for statement in reversed(statements):
        used, made = _names(statement)
        if _names_arms(statement, namers) or made & wanted:
            needed.append(statement)
            wanted |= used
    yield from reversed(needed)


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names that a statement reads, and names that it makes or changes; its own inner ones are neither."""
    table = symtable.symtable(ast.unparse(tree), "statement", "exec")
    made = {own.get_name() for own in table.get_symbols() if own.is_assigned() or own.is_imported()}
    used, inner = (
        {own.get_name() for own in table.get_symbols() if own.is_referenced()},
        [*table.get_children()],
    )
    while inner:
        scope = inner.pop()
        used |= {own.get_name() for own in scope.get_symbols() if own.is_global()}
        inner += scope.get_children()
    for node in ast.walk(tree):
        changed: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            changed = node.value
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING
        ):
            changed = node.func.value
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            used.add(node.target.id)
        made |= {changed.id} if isinstance(changed, ast.Name) else set()
    return used, made


def _names_arms(tree: ast.AST, namers: Collection[str] = ()) -> bool:
    """Whether a statement names arms or asks for runs, by a study's methods or by functions that do."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_method = any(isinstance(called, ast.Attribute) and called.attr in NAMING for called in calls)
    return by_method or any(isinstance(called, ast.Name) and called.id in namers for called in calls)


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
def _without_volumes(namespace: dict[str, Any]) -> Iterator[None]:
    """While open, whoever asks for volumes is refused, by the readers of a namespace too."""

    def refused(*given: Any, **named: Any) -> Any:
        raise LookupError("volumes are not read here")

    readers: Mapping[str, str] = {
        "studykit.data.sources": "prepared_source",
        "studykit.data.labelled": "open_labelled",
        "studykit.data.angiography.cohort": "open_angiography",
        "studykit.data.traits": "open_traits",
    }
    known = [getattr(import_module(module), name) for module, name in readers.items()]
    for name in MEASURED.keys() & namespace.keys():
        namespace[name] = lambda *given, constant=MEASURED[name]: constant
    namespace |= {name: refused for name, value in namespace.items() if any(value is own for own in known)}
    patches = [patch(f"{module}.{name}", refused) for module, name in readers.items()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


_silent: Callable[..., None] = lambda *given, **named: None  # noqa: E731
