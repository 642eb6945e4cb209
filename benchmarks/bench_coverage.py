"""How often each interval in use holds the truth, by simulation: what "95 %" is worth at few repetitions.

Every row draws samples of a known centre and counts the intervals that hold it. Data are drawn, not measured;
the seed is fixed, so the table is the same wherever it is made.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.stats import binomtest, bootstrap
from timing import is_quick

from studykit import atomic, home
from studykit.claims.censored import WHOLE_FOR_TOBIT, Centre, sign_test, tobit
from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval, rank_correlation_interval
from studykit.metrics.convergence import Curve, speedup_over_range
from studykit.report.tables import markdown, write_table
from studykit.runs.provenance import provenance
from studykit.studies.mim_masking.detection_scores import auc_bootstrap

STARTED = datetime.now(UTC)
NOTES = (
    "Share of nominal 95 % intervals that hold the true centre, with its own 95 % interval (Clopper and "
    "Pearson). Widths in standard deviations of a sample value; an open end counts as infinite. Tobit needs "
    f"{WHOLE_FOR_TOBIT} whole values; samples with fewer are left to the sign test and are not counted there."
)
SAMPLES = 4000
NORMAL, SKEWED = "normal", "exponential, centred"
Interval = Estimate | Centre
Draw = Callable[[np.random.Generator], Interval | None]


def mean_of(data: str, n: int) -> Draw:
    """The interval of a mean as the kit chooses it."""
    return lambda rng: mean_interval(sample(rng, data, n))


def bca_of(data: str, n: int) -> Draw:
    """The bootstrap where the kit does not use it any more."""

    def draw(rng: np.random.Generator) -> Interval:
        found = bootstrap((sample(rng, data, n),), np.mean, method="BCa", n_resamples=1999, random_state=rng)
        low, high = found.confidence_interval
        return Centre(0.0, float(low), float(high), 0.95, "BCa bootstrap")

    return draw


def sample(rng: np.random.Generator, data: str, n: int) -> np.ndarray:
    return rng.normal(size=n) if data == NORMAL else rng.exponential(size=n) - 1


def censored(n: int, share: float, by: Callable[..., Centre]) -> Draw:
    """Normal values, those below a fixed point known only to lie there, as a run that never arrives is."""
    from scipy.stats import norm

    point, nothing = norm.ppf(share), np.zeros(n, bool)

    def draw(rng: np.random.Generator) -> Interval | None:
        values = rng.normal(size=n)
        below = values < point
        if by is tobit and (~below).sum() < WHOLE_FOR_TOBIT:
            return None
        return by(np.maximum(values, point), below, nothing, 0.95)

    return draw


def crossed(seeds: int, subjects: int, of_subjects: float, by: str) -> Draw:
    """Seeds (deviation 1) crossed with subjects, and noise of deviation 1 in each cell."""

    def draw(rng: np.random.Generator) -> Interval:
        table = rng.normal(size=(seeds, 1)) + of_subjects * rng.normal(size=(1, subjects))
        table = table + rng.normal(size=(seeds, subjects))
        return crossed_interval(table) if by == "crossed" else mean_interval(table.mean(axis=1))

    return draw


def rank_correlation(n: int, rho: float) -> Draw:
    """Spearman's correlation of normal pairs, less its true value."""
    true = 6 / np.pi * np.arcsin(rho / 2)
    shape = [[1, rho], [rho, 1]]

    def draw(rng: np.random.Generator) -> Interval:
        found = rank_correlation_interval(*rng.multivariate_normal([0, 0], shape, n).T)
        return Centre(found.value - true, found.low - true, found.high - true, 0.95, found.method)

    return draw


def auc(runs: int, subjects: int, of_subjects: float) -> Draw:
    """Gain in AUC of one score over another of the same strength, by the bootstrap of runs and subjects."""
    labels = np.arange(subjects) % 2

    def draw(rng: np.random.Generator) -> Interval:
        shared = labels + of_subjects * rng.normal(size=subjects)
        one, other = (
            shared + of_subjects * rng.normal(size=subjects) + rng.normal(size=(runs, subjects))
            for _ in range(2)
        )
        return auc_bootstrap(labels, one, other, seed=int(rng.integers(2**31)))

    return draw


def spreads_added(n: int, correlation: float) -> Draw:
    """The difference of two means whose seeds are paired, from their intervals alone."""

    def draw(rng: np.random.Generator) -> Interval:
        shape = [[1, correlation], [correlation, 1]]
        one, other = map(mean_interval, rng.multivariate_normal([0, 0], shape, n).T)
        centre, low, high = one.value - other.value, one.low - other.high, one.high - other.low
        return Centre(centre, low, high, 0.95, "spreads added")

    return draw


def speed_up(n: int, ratio: float) -> Draw:
    """Logarithm of the speed-up over a range, less the true one; slow seeds never reach the range."""
    points = np.linspace(0, 1, 41)

    def draw(rng: np.random.Generator) -> Interval:
        rates = 3 * np.exp(0.2 * rng.normal(size=n))
        faster = rates * ratio * np.exp(0.5 * rng.normal(size=n))
        arms = ([Curve(points, np.exp(-rate * points)) for rate in own] for own in (rates, faster))
        found = speedup_over_range(*arms).estimate
        with np.errstate(divide="ignore"):
            ends = np.log([found.value, found.low, found.high]) - np.log(ratio)
        return Centre(*map(float, ends), 0.95, found.method)

    return draw


def cases() -> list[tuple[dict[str, object], Draw]]:
    """What each row says of itself, and how it draws one interval of a centre at 0."""
    found = []
    for data in (NORMAL, SKEWED):
        for n in (3, 5, 10, 15, 20, 30, 40):
            name = "mean, as in use: t up to 30, BCa beyond"
            found.append(({"interval": name, "data": data, "n": n}, mean_of(data, n)))
        for n in (10, 15, 20, 30):
            found.append(({"interval": "mean, BCa", "data": data, "n": n}, bca_of(data, n)))
    for name, by in (("Tobit", tobit), ("sign test", sign_test)):
        for n in (5, 10):
            for share in (0.2, 0.4, 0.6):
                data = f"normal, {share:.0%} below what is seen"
                found.append(({"interval": name, "data": data, "n": n}, censored(n, share, by)))
    for by in ("crossed", "seeds alone"):
        for seeds, subjects, spread in ((5, 8, 0.0), (5, 8, 1.0), (5, 40, 1.0), (3, 8, 1.0), (10, 20, 1.0)):
            data = f"{subjects} subjects, deviation {spread:g}"
            words = {"interval": f"seeds × subjects, {by}", "data": data, "n": seeds}
            found.append((words, crossed(seeds, subjects, spread, by)))
    for runs, subjects, spread in ((5, 20, 0.0), (5, 20, 1.0)):
        words = {"interval": "gain in AUC, bootstrap of runs and subjects", "n": runs}
        words["data"] = f"{subjects} subjects, deviation {spread:g}"
        found.append((words, auc(runs, subjects, spread)))
    for correlation in (-0.5, 0.0, 0.5):
        words = {"interval": "difference, spreads added", "data": f"correlation {correlation:g}", "n": 5}
        found.append((words, spreads_added(5, correlation)))
    for n in (5, 10):
        for ratio in (1.5, 0.4, 0.15):
            words = {"interval": "speed-up over a range", "data": f"true ratio {ratio:g}", "n": n}
            found.append((words, speed_up(n, ratio)))
    for n in (5, 10, 50):
        words = {"interval": "rank correlation", "data": "normal, correlation 0.5", "n": n}
        found.append((words, rank_correlation(n, 0.5)))
    return found


def row(words: dict[str, object], draw: Draw, samples: int) -> dict[str, object]:
    """One row of the table."""
    rng = np.random.default_rng(0)
    drawn = [interval for _ in range(samples) if (interval := draw(rng)) is not None]
    held = sum(interval.low <= 0 <= interval.high for interval in drawn)
    sure = binomtest(held, len(drawn)).proportion_ci()
    width = float(np.median([interval.high - interval.low for interval in drawn]))
    counts = {"samples": len(drawn), "coverage": held / len(drawn), "low": sure.low, "high": sure.high}
    return words | counts | {"median width": width}


def main(quick: bool) -> None:
    frame = pd.DataFrame([row(words, draw, 100 if quick else SAMPLES) for words, draw in cases()])
    print(markdown(frame, NOTES), flush=True)
    if not quick:
        folder = home.results_dir() / "benchmarks"
        write_table(frame, folder, "coverage", caption=NOTES)
        atomic.write_json(folder / "coverage.json", {"notes": NOTES, "provenance": provenance(STARTED)})


if __name__ == "__main__":
    main(is_quick(__doc__))
