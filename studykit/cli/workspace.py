"""The verb init: a folder to work in, for those who have no clone."""

import argparse
from importlib.util import find_spec


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("init", help="papers and notebooks into a folder, to run and change there")
    verb.add_argument("folder", metavar="DIR", help="new, or without papers/ and notebooks/")
    verb.set_defaults(action=init)


def init(options: argparse.Namespace) -> int:
    from studykit.imports import how_to_get
    from studykit.workspace import init

    print(f"{init(options.folder)}: papers/ and notebooks/ are yours to run and change")
    print(f"cd {options.folder}, then studykit list, studykit run STUDY, studykit new PAPER/CLAIM")
    if find_spec("papermill") is None:
        print(f"notebooks need more than the package: {how_to_get('notebooks')}")
    return 0
