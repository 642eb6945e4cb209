"""The verb run: notebooks in a batch, and what came of their claims."""

import argparse
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from studykit.cli.words import print_columns, short, value_of

if TYPE_CHECKING:
    from studykit.notebooks import Execution

ALL_CORES = "cores"


class RunParser(argparse.ArgumentParser):
    """Tells each notebook's parameters in its help, and reads them only then."""

    def format_help(self) -> str:
        from studykit.notebooks import notebooks, parameters_of, study_of

        lines = [super().format_help(), "parameters (-p NAME VALUE) and their defaults:"]
        for stem in notebooks():
            given = ", ".join(f"{name} {default}" for name, default in parameters_of(stem).items())
            lines.append(f"  {study_of(stem)}: {given or 'none'}")
        return "\n".join(lines) + "\n"


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    usual, verbs._parser_class = verbs._parser_class, RunParser
    verb = verbs.add_parser("run", help="execute notebooks, all of them unless some are named")
    verbs._parser_class = usual
    verb.add_argument("study", nargs="*", help="studies or notebook names")
    verb.add_argument("--profile", default="smoke", help="smoke (default), laptop, gpu or paper")
    verb.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N",
        help=f"notebooks at a time (default 1), or {ALL_CORES}: one a core; they share the cores",
    )  # fmt: skip
    verb.add_argument("--limit", type=float, metavar="MINUTES", help="stop a notebook after that long")
    verb.add_argument(
        "--minutes", type=float, metavar="M",
        help="time for all: buys seeds, in order, and keeps some to conclude; another call goes on",
    )  # fmt: skip
    verb.add_argument("--dry-run", action="store_true", help="what it would take; nothing is trained")
    verb.add_argument("--in-place", action="store_true", help="default parameters, outputs into the notebook")
    verb.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="notebook parameter; VALUE is JSON, or else text",
    )  # fmt: skip
    verb.set_defaults(action=run)


def _jobs(text: str) -> int:
    return len(os.sched_getaffinity(0)) if text == ALL_CORES else int(text)


def run(options: argparse.Namespace) -> int:
    from studykit.arms.profiles import check_profile
    from studykit.home import home
    from studykit.notebooks import notebook_of, notebooks, run_batch

    check_profile(options.profile)
    stems = [notebook_of(name) for name in options.study] or list(notebooks())
    if options.in_place and (options.parameter or options.profile != "smoke"):
        raise ValueError("--in-place keeps the default parameters: give no --profile and no -p with it.")
    parameters = {} if options.in_place else {"profile": options.profile}
    parameters |= {name: value_of(name, text) for name, text in options.parameter}
    profile = parameters.get("profile", options.profile)
    if options.dry_run:
        return plan(stems, parameters)
    print(f"{len(stems)} notebook(s) at profile {profile}", flush=True)

    def announce(execution: "Execution") -> None:
        words = "failed" if execution.error else "done"
        place = short(execution.output, home())
        print(f"  {execution.notebook:<32} {words:<7} {execution.seconds:6.1f} s  {place}", flush=True)
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
        show_output=profile != "smoke",
        announce=announce,
    )
    print()
    print_columns(claims_of(executions))
    failed = [execution for execution in executions if execution.error]
    for execution in failed:
        last = execution.error.strip().splitlines()[-1]
        print(f"\n{execution.notebook} failed: {last}\n  {short(execution.output, home())}")
    return 1 if failed else 0


def plan(stems: Iterable[str], parameters: dict[str, Any]) -> int:
    """Print what each notebook would train, and what that takes here, as far as arms are known beforehand."""
    from studykit.notebooks import parameters_of
    from studykit.notebooks.dry_run import plan_notebook

    status, minutes, disk = 0, 0.0, 0.0
    for stem in stems:
        given = {name: value for name, value in parameters.items() if name in parameters_of(stem)}
        rows, error = plan_notebook(stem, given)
        print(f"{stem}: {error or ('' if rows else 'nothing to train')}", flush=True)
        if rows:
            amounts = ("steps to do", "GFLOP a step", "minutes", "memory (MB)", "disk (MB)")
            print_columns([["  arm", *amounts], *(_amounts(row, amounts) for row in rows)])
        status = 1 if error else status
        minutes += sum(row["minutes"] for row in rows)
        disk += sum(row["disk (MB)"] for row in rows)
    print(f"about {minutes:.0f} minutes of training, {disk:.0f} MB; arms named after tuning come on top")
    return status


def _amounts(row: dict[str, Any], names: Iterable[str]) -> list[str]:
    return ["  " + row["arm"], *("–" if row[name] is None else _amount(row[name]) for name in names)]


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
