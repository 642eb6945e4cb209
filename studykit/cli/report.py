"""The verb report: the summary of all evidence, written anew."""

import argparse

from studykit.cli.words import short


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "report", help="rewrite results/SUMMARY.md, results/index.html and README's table"
    )
    verb.set_defaults(action=report)


def report(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import home, results_dir
    from studykit.report.site import update_readme, write_summary

    papers = load_papers()
    for path in write_summary(results_dir(), papers):
        print(short(path, home()))
    update_readme(home() / "README.md", results_dir(), papers)
    print("README.md")
    return 0
