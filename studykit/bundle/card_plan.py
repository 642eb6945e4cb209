"""What a study takes on a card: every run that its notebook asks for, what lies around it, and one call.

    floor = operations / measured rate
    a step = operations / (share · rate), or its kernels one after the other where those last longer

Operations and kernels are counted, see :mod:`studykit.metrics.compute` and :mod:`studykit.metrics.kernels`;
the rate is measured by ``benchmarks/bench_card.py``, and assumed where no card has been measured yet. What
else a call takes is in :mod:`studykit.bundle.call_minutes`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from studykit import home
from studykit.arms.setups import profile_of, setup_of
from studykit.bundle.call_minutes import (
    ASSUMED,
    Counted,
    around_seconds,
    cohort_seconds,
    counted,
    score_seconds,
    step_seconds,
)
from studykit.bundle.drive import BENCHMARK_SECONDS, PACK_SECONDS, TEST_SECONDS
from studykit.bundle.notebook_arms import Asked, runs_named
from studykit.runs.run_table import TUNING

MEASURED = "benchmarks/matmul-cuda.json"
ASSUMED_RATE = 6.5e14
"""Operations a second of bf16 products of 8192² on an H100, of its 9.9e14 on paper: not measured by us."""
SHARE = 0.35
"""Of that rate, which a training is assumed to reach."""
SUMS = ("runs", "steps", "PFLOP", "floor (min)", "steps (min)", "around (min)", "scores (min)")


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
        return Rate(ASSUMED_RATE, "assumed: no card was measured yet")
    facts = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    table = pd.read_csv(path.with_suffix(".csv"))
    gpus = ", ".join(gpu["name"] for gpu in facts["hardware"]["gpus"])
    return Rate(float(table.loc[table["precision"] == "bf16", "TFLOP/s"].max()) * 1e12, f"measured on {gpus}")


@dataclass(frozen=True)
class CardPlan:
    """What a study takes on a card.

    Attributes:
        arms: a row for each arm, those of studies that it rests on among them: ``study``, ``arm``, ``runs``
            (tuning among them, but for rates past the edge), ``steps`` of all, ``GFLOP a step``, ``kernels a
            step``, ``PFLOP`` of all, ``floor (min)``, ``steps (min)``, ``around (min)`` (starts, captures,
            validations, saving; shared among runs side by side) and ``scores (min)`` (of the tests).
        once: minutes of what a call does once, by what it is.
        seeds: minutes of the tuning and of each seed, all that belongs to it counted, in order.
        trouble: what of the notebook could not be found out, or nothing.
    """

    arms: pd.DataFrame
    once: dict[str, float]
    seeds: dict[int | str, float]
    trouble: str

    @property
    def minutes(self) -> float:
        """Of a call that does all of it."""
        return sum(self.once.values()) + sum(self.seeds.values())

    def fitting(self, minutes: float) -> int:
        """Seeds, after the tuning, that fit into a call of so many minutes."""
        left = minutes - sum(self.once.values()) - self.seeds.get(TUNING, 0.0)
        count = 0
        for seed, own in self.seeds.items():
            if seed == TUNING:
                continue
            left -= own
            if left < 0:
                break
            count += 1
        return count


def card_plan(study: str, profile: str, rate: Rate, share: float = SHARE, *, on_a_card: int = 1) -> CardPlan:
    """Count every run that the notebook of a study asks for at a profile; no volume is read.

    Args:
        study, profile: names.
        rate: of the card.
        share: of the rate that a training reaches.
        on_a_card: runs that train side by side on it. Their steps still follow one another, as the card does
            one kernel after the other; what the host does around them falls together.

    Raises:
        ValueError: unknown study or profile (the message lists the known ones), or no run at a time.
    """
    if on_a_card < 1:
        raise ValueError(f"on_a_card is a number of runs, at least 1; got {on_a_card}")
    asked, trouble = runs_named(study, profile)
    setups = [setup_of(name) for name in dict.fromkeys(one.study for one in asked.values())]
    grounds = [(setup, profile_of(setup, profile)) for setup in setups]
    once = {"tests": TEST_SECONDS / 60, "benchmarks": BENCHMARK_SECONDS / 60, "packing": PACK_SECONDS / 60}
    once |= {"notebook": ASSUMED.notebook / 60, "cohorts": cohort_seconds(grounds) / 60}
    if not asked:
        return CardPlan(pd.DataFrame(columns=["study", "arm", *SUMS]), once, {}, trouble)
    frame = pd.DataFrame(_rows(asked.values(), profile, rate.value, share))
    frame["around (min)"] /= on_a_card
    own = {name: "sum" for name in SUMS} | {"GFLOP a step": "max", "kernels a step": "max"}
    table = frame.groupby(["study", "arm"], sort=False).agg(own).reset_index()
    frame["minutes"] = frame[["steps (min)", "around (min)", "scores (min)"]].sum(axis=1)
    seeds = frame.groupby("repetition", sort=False)["minutes"].sum()
    return CardPlan(table, once, seeds.to_dict(), trouble)


def _rows(asked: Iterable[Asked], profile: str, rate: float, share: float) -> list[dict[str, object]]:
    """A row for each run."""
    known: dict[str, Counted] = {}
    rows: list[dict[str, object]] = []
    for one in asked:
        config, setup = one.run.config, setup_of(one.study)
        kind = json.dumps([config["method"], config["data"]["crop_size"], _decides(config)])
        if kind not in known:
            known[kind] = counted(config)
        step, steps = known[kind], config["training"]["steps"]
        tests = 0.0
        if one.repetition != TUNING:
            tests = score_seconds(config, step, rate * share, setup, profile_of(setup, profile))
        rows.append(
            {"study": one.study, "arm": one.arm, "repetition": one.repetition, "runs": 1, "steps": steps}
            | {"GFLOP a step": step.operations / 1e9, "kernels a step": step.kernels}
            | {"PFLOP": steps * step.operations / 1e15, "floor (min)": steps * step.operations / rate / 60}
            | {"steps (min)": steps * step_seconds(step, rate * share) / 60}
            | {"around (min)": around_seconds(config, step, rate * share) / 60, "scores (min)": tests / 60}
        )
    return rows


def _decides(config: dict) -> list[object]:
    """What of a training decides its operations a step."""
    return [config["training"].get(name) for name in ("optimizer", "batch_size")]
