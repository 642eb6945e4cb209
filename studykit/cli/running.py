"""The verb run: notebooks in a batch, and what came of their claims."""

import argparse
import sys
from typing import Any

from studykit.cli.words import short, value_of


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("run", help="execute notebooks, all of them unless some are named")
    verb.add_argument("study", nargs="*", help="studies or notebook names")
    verb.add_argument("--profile", default="smoke", help="smoke (default), laptop, gpu or paper")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="notebooks at a time (default 1)")
    verb.add_argument("--limit", type=float, metavar="MINUTES", help="stop a notebook after that long")
    verb.add_argument("--in-place", action="store_true", help="default parameters, outputs into the notebook")
    verb.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="notebook parameter; VALUE is JSON, or else text",
    )  # fmt: skip
    verb.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    from studykit.arms.profiles import check_profile
    from studykit.claims.paper import load_papers
    from studykit.home import home, results_dir
    from studykit.notebooks import Execution, notebook_of, notebooks, run_batch

    check_profile(options.profile)
    stems = [notebook_of(name) for name in options.study] or list(notebooks())
    if options.in_place and (options.parameter or options.profile != "smoke"):
        raise ValueError("--in-place keeps the default parameters: give no --profile and no -p with it.")
    parameters = {} if options.in_place else {"profile": options.profile}
    parameters |= {name: value_of(name, text) for name, text in options.parameter}
    profile = parameters.get("profile", options.profile)
    print(f"{len(stems)} notebook(s) at profile {profile}", flush=True)

    def announce(execution: Execution) -> None:
        words = "failed" if execution.error else "done"
        place = short(execution.output, home())
        print(f"  {execution.notebook:<32} {words:<7} {execution.seconds:6.1f} s  {place}", flush=True)
        if execution.error:
            print("    " + execution.error.replace("\n", "\n    "), file=sys.stderr, flush=True)

    limit = None if options.limit is None else 60 * options.limit
    executions = run_batch(
        stems,
        parameters,
        jobs=options.jobs,
        limit_seconds=limit,
        in_place=options.in_place,
        show_output=profile != "smoke",
        announce=announce,
    )
    print(claim_table(results_dir(), load_papers(), profile))
    return 1 if any(execution.error for execution in executions) else 0


def claim_table(results: Any, papers: Any, profile: str) -> str:
    """Claims with evidence or with numbers of this run; the others are counted."""
    from studykit.claims.words import ABSENT
    from studykit.report.evidence import summary_frame

    frame = summary_frame(results, papers, beside="smoke" if profile == "smoke" else None)
    known = frame[["ours", "this run"] if profile == "smoke" else ["ours"]].ne(ABSENT).any(axis=1)
    shown = frame.loc[known].drop(columns=["paper", "n", "profile"])
    table = shown.to_string(index=False) if len(shown) else "no claim has evidence yet"
    return (
        f"\n{table}\n\n{int((~known).sum())} more claims are not evaluated; studykit list names their studies"
    )
