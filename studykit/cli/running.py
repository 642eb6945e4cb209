"""The verb run: notebooks in a batch, and what came of their claims."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from studykit.cli import cluster
from studykit.cli.words import (
    extend_help,
    known_profiles,
    known_studies,
    print_columns,
    short,
    value_of,
)

if TYPE_CHECKING:
    from studykit.notebooks import Execution

ALL_CORES = "cores"
AMOUNTS = ("steps to do", "GFLOP a step", "TFLOP", "minutes", "memory (MB)", "disk (MB)")
SUMS = ("steps to do", "TFLOP", "minutes", "disk (MB)")


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("run", help="execute notebooks, all of them unless some are named")
    extend_help(verb, _parameters)
    studies = verb.add_argument("study", nargs="*", help="studies or notebook names")
    studies.completer = known_studies
    profile = verb.add_argument("--profile", default="smoke", help="smoke (default), laptop, gpu or paper")
    profile.completer = known_profiles
    verb.add_argument(
        "--seeds", type=int, metavar="N",
        help="the first N seeds of each arm; those that are done are not done again",
    )  # fmt: skip
    verb.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N",
        help=f"notebooks at a time (default 1), or {ALL_CORES}: one a core; they share the cores",
    )  # fmt: skip
    verb.add_argument("--limit", type=float, metavar="MINUTES", help="stop a notebook after that long")
    verb.add_argument(
        "--minutes", type=float, metavar="M",
        help="time for all: buys seeds, in order, and keeps some to conclude; another call goes on",
    )  # fmt: skip
    verb.add_argument(
        "--on-a-card", type=int, metavar="N",
        help="runs that train side by side on one GPU (default 1, or $STUDYKIT_ON_A_CARD)",
    )  # fmt: skip
    verb.add_argument("--dry-run", action="store_true", help="what it would take; nothing is trained")
    verb.add_argument(
        "--again", action="store_true",
        help="execute notebooks, too, of which nothing has changed since they were executed",
    )  # fmt: skip
    verb.add_argument("--in-place", action="store_true", help="default parameters, outputs into the notebook")
    verb.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="notebook parameter; VALUE is JSON, or else text",
    )  # fmt: skip
    cluster.add_options(verb)
    verb.set_defaults(action=run)


def _parameters() -> Iterator[str]:
    """Each notebook's parameters."""
    from studykit.notebooks import notebooks, parameters_of, study_of

    yield "parameters (-p NAME VALUE) and their defaults:"
    for stem in notebooks():
        given = ", ".join(f"{name} {default}" for name, default in parameters_of(stem).items())
        yield f"  {study_of(stem)}: {given or 'none'}"


def _jobs(text: str) -> int:
    return len(os.sched_getaffinity(0)) if text == ALL_CORES else int(text)


def run(options: argparse.Namespace) -> int:
    from studykit.arms.profiles import check_profile
    from studykit.home import ON_A_CARD, home, runs_on_a_card
    from studykit.notebooks import notebook_of, notebooks, run_batch

    if options.on_a_card is not None:
        os.environ[ON_A_CARD] = str(options.on_a_card)
    runs_on_a_card()
    check_profile(options.profile)
    stems = [notebook_of(name) for name in options.study] or list(notebooks())
    parameters = _given(options, stems)
    profile = parameters.get("profile", options.profile)
    if options.dry_run:
        return plan(stems, parameters)
    if options.cluster == cluster.SLURM:
        return cluster.queue(options, stems, parameters)
    print(f"{len(stems)} notebook(s) at profile {profile}", flush=True)

    def announce(execution: "Execution") -> None:
        words = "failed" if execution.error else "kept" if execution.kept else "done"
        place = short(execution.output, home())
        took = f"of {execution.kept}" if execution.kept else f"{execution.seconds:6.1f} s"
        print(f"  {execution.notebook:<32} {words:<7} {took}  {place}", flush=True)
        if execution.error:
            log = f"\nlog: {short(execution.log, home())}" if execution.log else ""
            text = (execution.error + log).replace("\n", "\n    ")
            print("    " + text, file=sys.stderr, flush=True)

    limit = None if options.limit is None else 60 * options.limit
    executions = run_batch(
        stems,
        parameters,
        jobs=options.jobs,
        limit_seconds=limit,
        minutes=options.minutes,
        in_place=options.in_place,
        keep=not (options.again or options.in_place or options.minutes),
        show_output=profile != "smoke",
        announce=announce,
    )
    print()
    print_columns(claims_of(executions))
    if any(execution.kept for execution in executions):
        print("\nkept: nothing that decides it has changed since it was executed; --again executes it anew")
    failed = [execution for execution in executions if execution.error]
    for execution in failed:
        last = execution.error.strip().splitlines()[-1]
        print(f"\n{execution.notebook} failed: {last}\n  {short(execution.output, home())}")
        if execution.log:
            print(f"  log: {short(execution.log, home())}")
    return 1 if failed else 0


def _given(options: argparse.Namespace, stems: Iterable[str]) -> dict[str, Any]:
    """Parameters by name, each of the type that the notebooks declare."""
    from studykit.notebooks import texts_of

    if options.in_place:
        if options.parameter or options.seeds is not None or options.profile != "smoke":
            raise ValueError(
                "--in-place keeps the default parameters: give no --profile, no --seeds and no -p with it."
            )
        return {}
    texts = {name for stem in stems for name in texts_of(stem)}
    own = {name: text if name in texts else value_of(name, text) for name, text in options.parameter}
    if options.seeds is not None:
        if options.seeds < 1 or "seeds" in own:
            raise ValueError(
                f"--seeds is a number of seeds, at least 1 and without -p seeds; got {options.seeds}."
            )
        own["seeds"] = options.seeds
    return {"profile": options.profile, **own}


def plan(stems: Iterable[str], parameters: dict[str, Any]) -> int:
    """Print what each notebook would train, and what that takes here, as far as arms are known beforehand."""
    from studykit.notebooks import parameters_of
    from studykit.notebooks.dry_run import plan_notebook

    status, whole = 0, dict.fromkeys(SUMS, 0.0)
    for stem in stems:
        given = {name: value for name, value in parameters.items() if name in parameters_of(stem)}
        rows, error = plan_notebook(stem, given)
        print(f"{stem}: {error or ('' if rows else 'nothing to train')}", flush=True)
        if rows:
            rows = [row | {"TFLOP": row["steps to do"] * row["GFLOP a step"] / 1e3} for row in rows]
            whole = {name: whole[name] + sum(row[name] for row in rows) for name in SUMS}
            print_columns([["  arm", *AMOUNTS], *map(_amounts, [*rows, _in_all(rows)])])
        status = 1 if error else status
    print(
        f"about {_amount(whole['minutes'])} minutes of training, {_amount(whole['TFLOP'])} TFLOP, "
        f"{whole['disk (MB)']:.0f} MB; arms named after tuning come on top"
    )
    return status


def _in_all(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One row for a study: what adds up is added, memory is that of the largest arm."""
    memory = [row["memory (MB)"] for row in rows]
    largest = None if None in memory else max(memory)
    sums = {name: sum(row[name] for row in rows) for name in SUMS}
    return {"arm": "in all", "GFLOP a step": None, "memory (MB)": largest, **sums}


def _amounts(row: dict[str, Any]) -> list[str]:
    return ["  " + row["arm"], *("–" if row[name] is None else _amount(row[name]) for name in AMOUNTS)]


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def claims_of(executions: Iterable["Execution"]) -> list[list[str]]:
    """A head and one row for each claim that this run concluded, with this run's own number."""
    from studykit.claims.paper import load_papers
    from studykit.report.evidence import Evidence
    from studykit.report.record import FILE, read_verdicts

    claims = {claim.key: claim for paper in load_papers().values() for claim in paper.claims}
    rows = [["claim of this run", "reported", "this run", "finding", "verdict"]]
    for execution in executions:
        if execution.error or not execution.evidence or not (execution.evidence / FILE).exists():
            continue
        for record in read_verdicts(execution.evidence):
            if (claim := claims.get(record.verdict.claim)) is not None:
                found = Evidence(claim, record)
                rows.append([claim.key, found.reported, found.ours, found.finding, found.status])
    return rows if len(rows) > 1 else [["no claim was concluded; studykit list says how all of them stand"]]
