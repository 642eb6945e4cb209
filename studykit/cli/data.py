"""Verbs on sources of volumes: data list, data fetch, data check."""

import argparse
import warnings
from pathlib import Path

from studykit.cli.words import known_sources, print_columns

MOST_NAMED = 8
"""Files that a check names where several are alike."""


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = verbs.add_parser("data", help="sources of volumes").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verb = data.add_parser("list", help="what each source holds, its size and licence")
    verb.set_defaults(action=list_sources)
    words = "download sources, the samples and the cohorts' label maps unless some are named"
    verb = data.add_parser("fetch", help=words)
    verb.add_argument("source", nargs="*").completer = known_sources
    verb.set_defaults(action=fetch)
    verb = data.add_parser("check", help="read every volume of a source, and say what is wrong with it")
    verb.add_argument("source").completer = known_sources
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
    from studykit.data.check import CheckRow, check_report
    from studykit.data.files.text import counted
    from studykit.data.files.told import TABLE
    from studykit.data.sources import own_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a warning would say is in the report
        report = check_report(options.source)
    root = own_path(options.source) or Path("/")

    def name(path: str) -> str:
        return short(Path(path), root) if root != Path("/") else path.rpartition("/")[2]

    def verdict(row: CheckRow) -> str:
        at_fault = "" if row.path == row.image else f"{name(row.path)}: "
        said = row.verdict.replace("refused: ", f"refused: {at_fault}", 1)
        return "; ".join(filter(None, (said, row.note))).replace(f"{root}/", "")

    lines = [["subject", "image", "modality", "shape", "spacing (mm)", "intensity", "labels", "verdict"]]
    for row in report.rows:
        sizes = ["×".join(f"{n:g}" for n in own) if own else "-" for own in (row.shape, row.spacing_mm)]
        intensity = f"{row.intensity[0]:g} to {row.intensity[1]:g}" if row.intensity else "-"
        image = name(row.image)
        lines.append([row.subject, image, row.modality, *sizes, intensity, row.labels or "-", verdict(row)])
    print_columns(lines)
    used = [row for row in report.rows if row.ok]
    refused, labelled = len(report.rows) - len(used), sum(bool(row.labels_path or row.labels) for row in used)
    people = report.people
    whole = f"{counted(len(people), 'subject')} with {counted(len(report.rows), 'image')}"
    usable = f"{counted(len(used), 'image')} of {counted(len({row.subject for row in used}), 'subject')}"
    print(f"\n{whole}; usable: {usable}, {labelled} with a label map; refused: {refused}")
    several = {subject: images for subject, images in people.items() if len(images) > 1}
    for subject, images in several.items():
        print(f"  one subject: {subject} is {_some([name(image) for image in images])}")
    if several:
        print(f"  where that is wrong, a table {TABLE} with the columns file and subject says it outright")
    if report.unused:
        print(f"{counted(len(report.unused), 'file')} not used:")
        alike: dict[tuple[Path, str], list[str]] = {}
        for entry in report.unused:
            alike.setdefault((entry.path.parent, entry.reason), []).append(name(str(entry.path)))
        print_columns([["  " + _some(names), reason] for (_, reason), names in alike.items()])
    if report.others:
        counts = (f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(report.others.items()))
        print(f"other files: {', '.join(counts)}")
    return 0 if not refused else 1


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
