"""Verbs on sources of volumes: data list, data fetch, data check."""

import argparse
import warnings
from pathlib import Path

from studykit.cli.words import print_columns

MOST_NAMED = 8
"""Images of a subject that a check names."""


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = verbs.add_parser("data", help="sources of volumes").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verb = data.add_parser("list", help="what each source holds, its size and licence")
    verb.set_defaults(action=list_sources)
    words = "download sources, the samples and the cohorts' label maps unless some are named"
    verb = data.add_parser("fetch", help=words)
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
    from studykit.data.sources import default_sources, fetch_source

    for name in options.source or default_sources():
        print(f"{name}: {fetch_source(name)}", flush=True)
    return 0


def check(options: argparse.Namespace) -> int:
    from studykit.cli.words import short
    from studykit.data.check import check_report
    from studykit.data.sources import own_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a warning would say is in the report
        report = check_report(options.source)
    root = own_path(options.source) or Path("/")

    def name(path: str) -> str:
        return short(Path(path), root) if root != Path("/") else path.rpartition("/")[2]

    lines = [["subject", "image", "modality", "shape", "spacing (mm)", "intensity", "labels", "verdict"]]
    for row in report.rows:
        sizes = ["×".join(f"{n:g}" for n in own) if own else "-" for own in (row.shape, row.spacing_mm)]
        intensity = f"{row.intensity[0]:g} to {row.intensity[1]:g}" if row.intensity else "-"
        verdict = "; ".join(filter(None, (row.verdict, row.note.replace(f"{root}/", ""))))
        lines.append(
            [row.subject, name(row.path), row.modality, *sizes, intensity, row.labels or "-", verdict]
        )
    print_columns(lines)
    refused = sum(not row.ok for row in report.rows)
    labelled = sum(bool(row.labels_path) for row in report.rows)
    people = report.people
    print(
        f"\n{len(people)} subjects; {len(report.rows) - refused} images can be used, {refused} are refused, "
        f"{labelled} have a label map"
    )
    several = {subject: images for subject, images in people.items() if len(images) > 1}
    for subject, images in several.items():
        more = f" and {len(images) - MOST_NAMED} more" if len(images) > MOST_NAMED else ""
        print(f"  one subject: {subject} is {', '.join(map(name, images[:MOST_NAMED]))}{more}")
    if report.unused:
        print(f"{len(report.unused)} files are not used:")
        print_columns([["  " + name(str(entry.path)), entry.reason] for entry in report.unused])
    if report.others:
        counts = (f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(report.others.items()))
        print(f"other files: {', '.join(counts)}")
    return 0 if not refused else 1
