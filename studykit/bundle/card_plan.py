"""What a study takes on a card: operations of every run it asks for, over the rate of matrix products.

    floor = operations / measured rate      expected = floor / share of that rate that a training reaches

Operations are counted, see :mod:`studykit.metrics.compute`; the rate is measured by
``benchmarks/bench_card.py``, and assumed where no card has been measured yet.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from studykit import home
from studykit.bundle.notebook_arms import runs_named
from studykit.runs.effort import operations_of_step

MEASURED = "benchmarks/matmul-cuda.json"
ASSUMED = 6.5e14
"""Operations a second of bf16 products of 8192² on an H100, of its 9.9e14 on paper: not measured by us."""
SHARE = 0.35
"""Of that rate, which a training is assumed to reach."""


@dataclass(frozen=True)
class Rate:
    """Operations a second of large matrix products in bf16, and where that is from."""

    value: float
    source: str


def rate_of_card(results: Path | None = None) -> Rate:
    """The rate measured last, or the assumed one.

    >>> rate_of_card(Path("nowhere")).source
    'assumed: no card was measured yet'
    """
    path = (results or home.results_dir()) / MEASURED
    if not path.exists():
        return Rate(ASSUMED, "assumed: no card was measured yet")
    facts = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    table = pd.read_csv(path.with_suffix(".csv"))
    gpus = ", ".join(gpu["name"] for gpu in facts["hardware"]["gpus"])
    return Rate(float(table.loc[table["precision"] == "bf16", "TFLOP/s"].max()) * 1e12, f"measured on {gpus}")


def card_plan(study: str, profile: str, rate: Rate, share: float = SHARE) -> tuple[pd.DataFrame, str]:
    """A row for each arm of a study's notebook, those of studies that it rests on among them.

    Args:
        study, profile: names.
        rate: of the card.
        share: of the rate that a training reaches.

    Returns:
        ``study``, ``arm``, ``runs`` (tuning among them, but for rates past the edge), ``steps`` of all,
        ``GFLOP a step``, ``PFLOP`` of all, ``floor (min)`` and ``expected (min)``; and what could not be
        found out, or nothing.

    Raises:
        ValueError: unknown study or profile; the message lists the known ones.
    """
    asked, trouble = runs_named(study, profile)
    counted: dict[str, float] = {}
    rows = []
    for owner, arm, run in asked.values():
        kind = json.dumps([run.config["method"], run.config["data"]["crop_size"], _counts(run.config)])
        if kind not in counted:
            counted[kind] = operations_of_step(run.config)
        rows.append(
            {"study": owner, "arm": arm, "runs": 1, "steps": run.config["training"]["steps"]}
            | {"GFLOP a step": counted[kind] / 1e9}
        )
    if not rows:
        return pd.DataFrame(columns=["study", "arm"]), trouble
    frame = pd.DataFrame(rows)
    frame["PFLOP"] = frame["steps"] * frame["GFLOP a step"] / 1e6
    own = {"runs": "sum", "steps": "sum", "GFLOP a step": "max", "PFLOP": "sum"}
    table = frame.groupby(["study", "arm"], sort=False).agg(own).reset_index()
    table["floor (min)"] = table["PFLOP"] * 1e15 / rate.value / 60
    table["expected (min)"] = table["floor (min)"] / share
    return table, trouble


def _counts(config: dict) -> list[object]:
    """What of a training decides its operations a step."""
    return [config["training"].get(name) for name in ("optimizer", "batch_size")]
