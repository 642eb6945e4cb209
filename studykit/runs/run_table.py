"""Every run of a study in one small table, ``runs.csv.gz``: a verdict can be judged from it without training.

One row a number, long rather than wide::

    run, arm, repetition, state, step, seconds, test, subject, class, measure, value
    3f2a…, BertsWin, 0, done, 200, 31.2, , , , error, 0.5713       held-out values, as training goes
    3f2a…, BertsWin, 0, done, , , held out, s-0004, thalamus, dice, 0.9084      scores of test subjects
    3f2a…, BertsWin, 0, done, , , , , , lr, 0.0045                 lr, budget (steps), operations (a step)

``repetition`` is the seed, or ``tuning``. Values have seven significant digits, scores of test subjects, of
which there are many, four. The same runs give the same bytes.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from studykit import atomic
from studykit.metrics.convergence import Curve
from studykit.runs.store import Run

FILE = "runs.csv.gz"
COLUMNS = (
    "run", "arm", "repetition", "state", "step", "seconds", "test", "subject", "class", "measure", "value",
)  # fmt: skip
TUNING = "tuning"
CLOCKS = ("steps", "flops", "seconds")

Row = Mapping[str, str]


def rows_of(run: Run, arm: str, repetition: int | str, operations_a_step: float) -> Iterator[dict[str, str]]:
    """The rows of one run: its settings, its held-out values, and the test scores kept with it."""
    head = {"run": run.key, "arm": arm, "repetition": str(repetition), "state": str(run.state)}
    training = run.config["training"]
    settings = {"lr": training["lr"], "budget": training["steps"], "operations": operations_a_step}
    for measure, value in settings.items():
        yield head | {"measure": measure, "value": _text(value)}
    for record in run.metrics.to_dict("records"):
        for name, value in record.items():
            if name.startswith("val/") and value == value and value is not None:
                at = {"step": _text(record["step"]), "seconds": _text(record["seconds"])}
                yield head | at | {"measure": name.removeprefix("val/"), "value": _text(value)}
    for path in sorted(run.folder.glob("scores-*.json")):
        test = path.stem.removeprefix("scores-").replace("-", " ")
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            yield from _scores(head, test, row)


def write_run_table(folder: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write ``<folder>/runs.csv.gz``, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    path = Path(folder) / FILE
    atomic.write_bytes(path, packed)
    return path


def read_run_table(folder: Path) -> tuple[Row, ...]:
    """The rows of ``<folder>/runs.csv.gz``, none where there is no such file.

    Raises:
        ValueError: the file is not such a table; the message names it.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return ()
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = tuple(reader)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
        raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {', '.join(COLUMNS)}")
    return rows


def curves_by_seed(rows: Iterable[Row], arm: str, clock: str, of: Mapping[str, float]) -> dict[str, Curve]:
    """Held-out error of each repetition of an arm, tuning left out, against steps, operations or seconds.

    As :func:`studykit.runs.effort.curve_of` makes them from run folders: a run that diverged keeps its last
    error up to the end of its budget.

    Args:
        rows: of a run table.
        arm: name of the arm.
        clock: one of :data:`CLOCKS`.
        of: weights of the recorded values that make the error.

    Raises:
        ValueError: unknown clock; the message lists the known ones.
    """
    if clock not in CLOCKS:
        raise ValueError(f"unknown clock {clock!r}; known: {', '.join(CLOCKS)}")
    runs: dict[str, list[Row]] = {}
    for row in rows:
        if row["arm"] == arm and row["repetition"] != TUNING and not row["test"]:
            runs.setdefault(row["repetition"], []).append(row)
    return {repetition: _curve(own, clock, of) for repetition, own in runs.items()}


def _curve(rows: Sequence[Row], clock: str, of: Mapping[str, float]) -> Curve:
    setting = {row["measure"]: float(row["value"]) for row in rows if not row["step"]}
    points: dict[float, dict[str, float]] = {}
    seconds = {}
    for row in rows:
        if row["step"]:
            points.setdefault(float(row["step"]), {})[row["measure"]] = float(row["value"])
            seconds[float(row["step"])] = float(row["seconds"])
    steps = [step for step in sorted(points) if of.keys() <= points[step].keys()]
    errors = [sum(weight * points[step][name] for name, weight in of.items()) for step in steps]
    along = {"steps": steps, "seconds": [seconds[step] for step in steps]}
    if rows[0]["state"] == "diverged" and steps[-1] < setting["budget"]:
        rate = along["seconds"][-1] / steps[-1] if steps[-1] else 1.0
        along = {
            "steps": [*steps, setting["budget"]],
            "seconds": [*along["seconds"], rate * setting["budget"]],
        }
        errors = [*errors, errors[-1]]
    along["flops"] = [step * setting["operations"] for step in along["steps"]]
    return Curve(along[clock], errors)


def _scores(head: Mapping[str, str], test: str, row: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    whose = {"test": test, "subject": str(row.get("subject", "")), "class": str(row.get("class", ""))}
    for measure, value in row.items():
        if measure not in ("subject", "class") and isinstance(value, int | float):
            yield {**head, **whose, "measure": measure, "value": _text(value, 4)}


def _text(value: float, digits: int = 7) -> str:
    return f"{float(value):.{digits}g}"
