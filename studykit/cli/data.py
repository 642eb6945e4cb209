"""Verbs on sources of volumes: data list, data fetch, data check."""

import argparse

from studykit.cli.words import print_columns


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = verbs.add_parser("data", help="sources of volumes").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verb = data.add_parser("list", help="what each source holds, its size and licence")
    verb.set_defaults(action=list_sources)
    verb = data.add_parser("fetch", help="download sources, the samples unless some are named")
    verb.add_argument("source", nargs="*")
    verb.set_defaults(action=fetch)
    verb = data.add_parser("check", help="read every volume of a source, and say what is wrong with it")
    verb.add_argument("source")
    verb.set_defaults(action=check)


def list_sources(options: argparse.Namespace) -> int:
    from studykit.data import sources

    lines = [["source", "subjects", "MB", "licence", "holds"]]
    for source in sources.list_sources():
        subjects = "-" if source.subjects is None else str(source.subjects)
        lines.append([source.name, subjects, str(source.megabytes or "-"), source.licence, source.holds])
    print_columns(lines)
    return 0


def fetch(options: argparse.Namespace) -> int:
    from studykit.data.sources import fetch_source, sample_sources

    for name in options.source or sample_sources():
        print(f"{name}: {fetch_source(name)}", flush=True)
    return 0


def check(options: argparse.Namespace) -> int:
    from studykit.data.check import check_source

    rows = check_source(options.source)
    lines = [["subject", "modality", "shape", "spacing (mm)", "intensity", "labels", "verdict"]]
    for row in rows:
        sizes = ["×".join(f"{n:g}" for n in own) if own else "-" for own in (row.shape, row.spacing_mm)]
        intensity = f"{row.intensity[0]:g} to {row.intensity[1]:g}" if row.intensity else "-"
        lines.append([row.subject, row.modality, *sizes, intensity, row.labels or "-", row.verdict])
    print_columns(lines)
    return 0 if all(row.ok for row in rows) else 1
