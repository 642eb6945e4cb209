"""The verbs bundle, unbundle, gpu-plan: a study on a machine without network, and what it takes there."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studykit.cli.words import known_profiles, known_studies, print_columns, value_of

if TYPE_CHECKING:
    from studykit.bundle.card_plan import CardPlan

PYTHON, PLATFORM, LIMIT_MB, MINUTES = "3.12", "manylinux_2_28_x86_64", 64, 9


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("bundle", help="pack studies for a machine without network, with a run.sh")
    verb.add_argument("out", type=Path, metavar="FILE", help="the bundle, such as bundle.tar.gz")
    studies = verb.add_argument("study", nargs="+", help="studies to run there, in this order")
    studies.completer = known_studies
    verb.add_argument(
        "--also", nargs=3, action="append", default=[], metavar=("STUDY", "NAME", "VALUE"),
        help="run STUDY once more after those, with a parameter of its notebook, such as other data",
    )  # fmt: skip
    profile = verb.add_argument("--profile", default="gpu", help="smoke, laptop, gpu (default) or paper")
    profile.completer = known_profiles
    verb.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="M",
        help=f"for all that is done there (default {MINUTES})",
    )  # fmt: skip
    verb.add_argument(
        "--on-a-card", type=int, default=1, metavar="N",
        help="runs that train side by side on one GPU there (default 1)",
    )  # fmt: skip
    verb.add_argument("--python", default=PYTHON, help=f"of the machine (default {PYTHON})")
    verb.add_argument("--platform", default=PLATFORM, help=f"as pip names it (default {PLATFORM})")
    verb.add_argument(
        "--has", nargs="+", metavar="PACKAGE",
        help="what the machine has, torch and numpy among it; by default what is usual beside torch",
    )  # fmt: skip
    verb.add_argument(
        "--limit-mb", type=float, default=LIMIT_MB, metavar="MB", help=f"refuse a larger one ({LIMIT_MB})"
    )
    verb.add_argument(
        "--beside-mb", type=float, default=0, metavar="MB",
        help="what travels with it and counts too, such as a working tree (0)",
    )  # fmt: skip
    verb.set_defaults(action=bundle)
    verb = verbs.add_parser("unbundle", help="take in what a bundle's run.sh brought back")
    verb.add_argument("file", type=Path, metavar="FILE", help="studykit-back.tar.gz")
    verb.set_defaults(action=unbundle)
    verb = verbs.add_parser("gpu-plan", help="operations of studies, and the minutes that a card takes")
    studies = verb.add_argument("study", nargs="+", help="studies or notebook names")
    studies.completer = known_studies
    profile = verb.add_argument("--profile", default="gpu", help="smoke, laptop, gpu (default) or paper")
    profile.completer = known_profiles
    verb.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="M", help=f"of a call (default {MINUTES})"
    )
    verb.add_argument(
        "--on-a-card", type=int, default=1, metavar="N", help="runs that train side by side on it (default 1)"
    )
    verb.set_defaults(action=plan)


def bundle(options: argparse.Namespace) -> int:
    from studykit.bundle.pack import bundle
    from studykit.bundle.wheels import HAS, LEFT_OUT

    done = bundle(
        options.out,
        options.study,
        further=_further(options.also),
        profile=options.profile,
        minutes=options.minutes,
        on_a_card=options.on_a_card,
        python=options.python,
        platform=options.platform,
        has=options.has or HAS,
        limit_mb=options.limit_mb,
        beside_mb=options.beside_mb,
    )
    sizes = ", ".join(f"{part} {size:.1f}" for part, size in done.megabytes.items() if size >= 0.05)
    total = done.path.stat().st_size / 1e6
    print(f"{done.path}: {total:.1f} MB of {options.limit_mb - options.beside_mb:g} ({sizes})")
    manifest = done.manifest
    beside = f", {manifest.on_a_card} runs on a card" if manifest.on_a_card > 1 else ""
    print(
        f"studies at {manifest.profile}, {manifest.minutes:g} minutes{beside}: {', '.join(manifest.studies)}"
    )
    for study, given in manifest.further.items():
        print(f"then {study} once more: {', '.join(f'{name} {value}' for name, value in given.items())}")
    state = " with local changes, so it will not be taken back" if manifest.dirty else ""
    print(f"commit {manifest.commit[:12]}{state}")
    rounded = f", no voxel moved by more than {manifest.rounded_by:.1g} deviations" if done.volumes else ""
    print(f"{done.volumes} prepared volumes in half precision{rounded}; cohorts are made there")
    print(f"{done.wheels} wheels for Python {options.python}; left out: {', '.join(LEFT_OUT)}")
    print("there: tar xf FILE && bash studykit-bundle/run.sh")
    print("in parts: cat studykit-back.tar.gz.* > studykit-back.tar.gz")
    print("here again: studykit unbundle studykit-back.tar.gz")
    return 0


def _further(also: Sequence[Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Studies with the parameters that were given for each, of the types that its notebook declares."""
    from studykit.notebooks import texts_of

    further: dict[str, dict[str, Any]] = {}
    for study, name, text in also:
        value = text if name in texts_of(study) else value_of(name, text)
        further.setdefault(study, {})[name] = value
    return further


def unbundle(options: argparse.Namespace) -> int:
    from studykit.bundle.unpack import unbundle
    from studykit.cli.words import short
    from studykit.home import home

    added = unbundle(options.file)
    for folder in added.evidence:
        print(f"added {short(folder, home())}")
    print(f"added {added.runs} runs, without their weights; {added.runs_here} were here already")
    if added.logs:
        print(f"logs: {short(added.logs, home())}")
    for words in added.left_out:
        print(f"left out: {words}")
    return 0


def plan(options: argparse.Namespace) -> int:
    from studykit.bundle.call_minutes import ASSUMED
    from studykit.bundle.card_plan import SHARE, SUMS, card_plan, rate_of_card

    rate = rate_of_card()
    print(
        f"{rate.value / 1e12:.0f} TFLOP/s in bf16 products, {rate.source}; {SHARE:.0%} of it expected, and "
        f"{ASSUMED.kernel * 1e6:g} µs a kernel; starts, validations, scores and cohorts by assumption too"
    )
    for study in options.study:
        found = card_plan(study, options.profile, rate, on_a_card=options.on_a_card)
        table = found.arms
        amounts = [name for name in table.columns if name not in ("study", "arm")]
        rows = [[row["arm"], *(f"{row[name]:,.3g}" for name in amounts)] for _, row in table.iterrows()]
        total = ["in all", *(f"{table[name].sum():,.3g}" if name in SUMS else "" for name in amounts)]
        beside = f", {options.on_a_card} runs side by side" if options.on_a_card > 1 else ""
        print(f"\n{study} at {options.profile}{beside}")
        print_columns([["arm", *amounts], *rows, total])
        print(f"\n{_call(found, options.minutes)}")
        if found.trouble:
            print(f"more may come on top: {found.trouble}")
    return 0


def _call(found: "CardPlan", minutes: float) -> str:
    """What one call comes to, and what fits into it."""
    from studykit.runs.run_table import TUNING

    once = ", ".join(f"{what} {own:.1f}" for what, own in found.once.items() if own)
    seeds = {seed: own for seed, own in found.seeds.items() if seed != TUNING}
    tuning = found.seeds.get(TUNING, 0.0)
    words = f"one call: {once}; tuning {tuning:.1f}, {len(seeds)} seeds {sum(seeds.values()):.1f}; "
    fit = "it fits" if found.minutes <= minutes else f"{found.fitting(minutes)} seeds fit"
    return f"{words}{found.minutes:.1f} minutes in all; of {minutes:g} minutes {fit}"
