"""Verbs on claims: list, status, show, new, judge, power, compare."""

import argparse
from pathlib import Path

from studykit.cli.words import begun_claims, claimed_studies, known_profiles, print_columns, short


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("list", help="all studies and how their claims stand")
    verb.set_defaults(action=list_studies)

    words = "whether rule, code, data or environment changed since the evidence, and what a refresh costs"
    verb = verbs.add_parser("status", help=words)
    studies = verb.add_argument("study", nargs="*", help="all unless some are named")
    studies.completer = claimed_studies
    verb.set_defaults(action=status)

    verb = verbs.add_parser(
        "show", help="a study's claims: sentence, reported numbers, unknowns, rule, verdict"
    )
    verb.add_argument("study").completer = claimed_studies
    verb.set_defaults(action=show)

    verb = verbs.add_parser("new", help="a claim to begin with: paper.toml entry, notebook that runs, test")
    claim = verb.add_argument("claim", metavar="PAPER/CLAIM", help="both of lower-case words joined by '-'")
    claim.completer = begun_claims
    verb.set_defaults(action=new)

    verb = verbs.add_parser(
        "judge", help="judge verdicts again from the tables beside them, without training"
    )
    study = verb.add_argument("study", nargs="?", help="all unless one is named")
    study.completer = claimed_studies
    verb.set_defaults(action=judge)

    verb = verbs.add_parser("power", help="what a study's design can see, by the spread of the runs at hand")
    verb.add_argument("study").completer = claimed_studies
    profile = verb.add_argument("--profile", default="laptop", help="smoke, laptop (default), gpu or paper")
    profile.completer = known_profiles
    verb.set_defaults(action=power)

    verb = verbs.add_parser(
        "compare", help="a study run again against the evidence: numbers, rates, findings"
    )
    verb.add_argument("rerun", type=Path, help="folder of the rerun's verdict.json")
    verb.set_defaults(action=compare)


def list_studies(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.notebooks import notebooks
    from studykit.report.evidence import gather
    from studykit.report.terminal import studies_table

    papers, present = load_papers(), notebooks()
    named = {c.study: c.notebook for paper in papers.values() for c in paper.claims if c.notebook in present}
    print_columns(studies_table(gather(results_dir(), papers), named))
    return 0


def status(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.notebooks.freshness import HEAD, freshness

    rows = freshness(results_dir(), load_papers())
    known = dict.fromkeys(row.study for row in rows)
    for name in options.study:
        if name not in known:
            raise ValueError(f"Unknown study {name!r}. Known: {', '.join(known)}.")
    chosen = [row for row in rows if not options.study or row.study in options.study]
    print_columns([list(HEAD), *(list(vars(row).values()) for row in chosen)])
    print("\nstudykit run STUDY --profile PROFILE --dry-run says what is still to train, as timed here")
    return 0


def new(options: argparse.Namespace) -> int:
    from studykit.home import home
    from studykit.notebooks.new_claim import write_claim

    file, notebook, test = (short(path, home()) for path in write_claim(options.claim))
    print(f"{file}: write the sentence and the rule, and commit them before you run anything")
    print(f"{notebook}: name the arms, then studykit run --in-place {options.claim.partition('/')[2]}")
    print(f"{test}: what the rule says of four intervals")
    return 0


def judge(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.report.cards import verdict_card
    from studykit.report.judging import judge_again

    print(verdict_card(judge_again(results_dir(), load_papers(), options.study)))
    return 0


def power(options: argparse.Namespace) -> int:
    from studykit.home import results_dir
    from studykit.report.terminal import power_lines

    lines, remark = power_lines(results_dir(), options.study, options.profile)
    print_columns(lines)
    print(f"\n{remark}")
    return 0


def compare(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import results_dir
    from studykit.report.terminal import comparison_lines

    print(*comparison_lines(load_papers(), results_dir(), options.rerun), sep="\n")
    return 0


def show(options: argparse.Namespace) -> int:
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
