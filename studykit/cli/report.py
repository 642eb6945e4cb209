"""The verb report: the summary of all evidence, written anew."""

import argparse

from studykit.cli.words import short


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "report", help="rewrite results/SUMMARY.md, results/index.html and what README says of each paper"
    )
    verb.set_defaults(action=report)


def report(options: argparse.Namespace) -> int:
    from studykit.claims.paper import load_papers
    from studykit.home import home, results_dir
    from studykit.report.answer import load_answers, outdated
    from studykit.report.evidence import gather
    from studykit.report.front import update_readme
    from studykit.report.site import write_summary

    papers, answers = load_papers(), load_answers()
    for path in write_summary(results_dir(), papers, answers):
        print(short(path, home()))
    update_readme(home() / "README.md", results_dir(), papers, answers)
    print("README.md")
    found = gather(results_dir(), papers)
    for name in (name for name in answers if name in papers):
        for line in outdated(answers[name], [evidence for evidence in found if evidence.claim.paper == name]):
            print(f"papers/{name}/answer.toml: {line}")
    return 0
