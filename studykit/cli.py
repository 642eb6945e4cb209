"""Command line: list, show, judge, run, data, runs, report; nothing heavy is imported before its use."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studykit import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 something failed, 2 a wrong call."""
    options = _parser().parse_args(arguments)
    try:
        return options.action(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"studykit: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, OSError) as error:
        print(f"studykit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("studykit: stopped; the same call goes on from the last checkpoints", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="studykit", description="Does the claim hold? One notebook a claim."
    )
    parser.add_argument("--version", action="version", version=f"studykit {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    verb = verbs.add_parser("list", help="all studies and how their claims stand")
    verb.set_defaults(action=_list)

    verb = verbs.add_parser(
        "show", help="a study's claims: sentence, reported numbers, unknowns, rule, verdict"
    )
    verb.add_argument("study")
    verb.set_defaults(action=_show)

    verb = verbs.add_parser(
        "judge", help="judge verdicts again from the tables beside them, without training"
    )
    verb.add_argument("study", nargs="?", help="all unless one is named")
    verb.set_defaults(action=_judge)

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
    verb.set_defaults(action=_run)

    verb = verbs.add_parser(
        "pretrain", help="pre-train an encoder: backbone, masking, objective and data by name"
    )
    verb.add_argument("--data", required=True, help="source of volumes, such as folder:PATH")
    verb.add_argument("--out", required=True, type=Path, help="folder for the weights and their card")
    verb.add_argument("--backbone", default="wave-unet", help="architecture (default wave-unet)")
    verb.add_argument("--masking", default="nested", help="random, nested (default), three-level or vessel")
    verb.add_argument(
        "--objective", default="reconstruction+alignment",
        help="reconstruction, reconstruction+alignment (default) or normalised-reconstruction",
    )  # fmt: skip
    verb.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel size (default 1)")
    verb.add_argument("--crop", type=int, default=96, metavar="VOXELS", help="side of a crop (default 96)")
    verb.add_argument("--steps", type=int, default=1000, help="optimizer steps (default 1000)")
    verb.add_argument("--batch", type=int, default=4, help="crops a step (default 4)")
    verb.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default 0.001)")
    verb.add_argument("--precision", default="fp32", help="fp32 (default) or bf16")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--nproc", type=int, default=1, help="processes, one a GPU (default 1)")
    verb.add_argument(
        "-o", "--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="backbone option; VALUE is JSON, or else text",
    )  # fmt: skip
    verb.set_defaults(action=_pretrain)

    data = verbs.add_parser("data", help="sources of volumes").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verb = data.add_parser("list", help="what each source holds, its size and licence")
    verb.set_defaults(action=_data_list)
    verb = data.add_parser("fetch", help="download sources, the samples unless some are named")
    verb.add_argument("source", nargs="*")
    verb.set_defaults(action=_data_fetch)
    verb = data.add_parser("check", help="read every volume of a source, and say what is wrong with it")
    verb.add_argument("source")
    verb.set_defaults(action=_data_check)

    runs = verbs.add_parser("runs", help="trainings on this machine").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verb = runs.add_parser("list", help="state, steps and folder of every run")
    verb.set_defaults(action=_runs_list)
    verb = runs.add_parser("clean", help="remove runs by state")
    verb.add_argument("state", nargs="+", help="interrupted, done, diverged or error")
    verb.set_defaults(action=_runs_clean)

    verb = verbs.add_parser(
        "report", help="rewrite results/SUMMARY.md, results/index.html and README's table"
    )
    verb.set_defaults(action=_report)
    return parser


def _list(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.notebooks import notebooks
    from studykit.report.evidence import gather
    from studykit.report.terminal import studies_table

    papers, present = load_papers(), notebooks()
    named = {c.study: c.notebook for paper in papers.values() for c in paper.claims if c.notebook in present}
    _print_columns(studies_table(gather(results_dir(), papers), named))
    return 0


def _judge(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.report.cards import verdict_card
    from studykit.report.judging import judge_again

    print(verdict_card(judge_again(results_dir(), load_papers(), options.study)))
    return 0


def _show(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.notebooks import notebook_of
    from studykit.report.evidence import gather
    from studykit.report.terminal import claim_lines

    papers = load_papers()
    found = [e for e in gather(results_dir(), papers) if e.claim.study == options.study]
    if not found:
        known = dict.fromkeys(c.study for paper in papers.values() for c in paper.claims)
        raise ValueError(f"Unknown study {options.study!r}. Known: {', '.join(known)}.")
    try:
        print(f"{options.study}: notebooks/{notebook_of(options.study)}.ipynb")
    except ValueError:
        print(f"{options.study}: its notebook is not written yet")
    for evidence in found:
        print("", *claim_lines(evidence), sep="\n")
    return 0


def _run(options: argparse.Namespace) -> int:
    from studykit.arms.profiles import check_profile
    from studykit.claims.paper import load_papers
    from studykit.home import home, results_dir
    from studykit.notebooks import Execution, notebook_of, notebooks, run_batch

    check_profile(options.profile)
    stems = [notebook_of(name) for name in options.study] or list(notebooks())
    if options.in_place and (options.parameter or options.profile != "smoke"):
        raise ValueError("--in-place keeps the default parameters: give no --profile and no -p with it.")
    parameters = {} if options.in_place else {"profile": options.profile}
    parameters |= {name: _value(name, text) for name, text in options.parameter}
    profile = parameters.get("profile", options.profile)
    print(f"{len(stems)} notebook(s) at profile {profile}", flush=True)

    def announce(execution: Execution) -> None:
        words = "failed" if execution.error else "done"
        place = _short(execution.output, home())
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
    print(_claim_table(results_dir(), load_papers(), profile))
    return 1 if any(execution.error for execution in executions) else 0


def _claim_table(results: Any, papers: Any, profile: str) -> str:
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


def _pretrain(options: argparse.Namespace) -> int:
    from studykit.pretraining import PretrainingPlan, pretrain

    plan = PretrainingPlan(
        data=_value("data", options.data),
        backbone=options.backbone,
        backbone_options={name: _value(name, text) for name, text in options.option},
        masking=options.masking,
        objective=options.objective,
        spacing_mm=options.spacing,
        crop_size=options.crop,
        batch_size=options.batch,
        steps=options.steps,
        lr=options.lr,
        precision=options.precision,
        seed=options.seed,
    )
    done = pretrain(plan, options.out, nproc=options.nproc)
    print(done.weights.with_name("card.md").read_text(encoding="utf-8"))
    print(done.weights)
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from studykit.data.sources import list_sources

    lines = [["source", "subjects", "MB", "licence", "holds"]]
    for source in list_sources():
        subjects = "-" if source.subjects is None else str(source.subjects)
        lines.append([source.name, subjects, str(source.megabytes or "-"), source.licence, source.holds])
    _print_columns(lines)
    return 0


def _data_fetch(options: argparse.Namespace) -> int:
    from studykit.data.sources import fetch_source, sample_sources

    for name in options.source or sample_sources():
        print(f"{name}: {fetch_source(name)}", flush=True)
    return 0


def _data_check(options: argparse.Namespace) -> int:
    from studykit.data.check import check_source

    rows = check_source(options.source)
    lines = [["subject", "modality", "shape", "spacing (mm)", "intensity", "labels", "verdict"]]
    for row in rows:
        sizes = ["×".join(f"{n:g}" for n in own) if own else "-" for own in (row.shape, row.spacing_mm)]
        intensity = f"{row.intensity[0]:g} to {row.intensity[1]:g}" if row.intensity else "-"
        lines.append([row.subject, row.modality, *sizes, intensity, row.labels or "-", row.verdict])
    _print_columns(lines)
    return 0 if all(row.ok for row in rows) else 1


def _runs_list(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.runs.store import RunStore
    from studykit.training.records import METRICS, read_records

    lines = [["run", "state", "steps", "folder"]]
    for run in RunStore(runs_dir()).list():
        records = read_records(run.folder / METRICS)
        steps = f"{records[-1]['step'] if records else 0} of {run.config['training']['steps']}"
        lines.append([run.label, str(run.state), steps, run.folder.name])
    _print_columns(lines)
    return 0


def _runs_clean(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.runs.store import RunStore

    removed = RunStore(runs_dir()).clean(options.state)
    print(f"removed {len(removed)} run(s)")
    return 0


def _report(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import home, results_dir
    from studykit.report.site import update_readme, write_summary

    papers = load_papers()
    for path in write_summary(results_dir(), papers):
        print(_short(path, home()))
    update_readme(home() / "README.md", results_dir(), papers)
    print("README.md")
    return 0


def _value(name: str, text: str) -> Any:
    """A parameter's value: JSON, or else text; a relative data folder is taken from where the user is."""
    from studykit.data.sources import own_path

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if name == "data" and isinstance(value, str):
        path = own_path(value)
        return value if path is None else f"{value.partition(':')[0]}:{path}"
    return value


def _short(path: Any, root: Any) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _print_columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    for line in lines:
        print("  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]))
