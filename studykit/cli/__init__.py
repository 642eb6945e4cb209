"""Command line, one file a group of verbs; nothing heavy is imported before a verb's own use of it."""

import argparse
import os
import sys
from collections.abc import Sequence

from studykit import __version__
from studykit.cli import (
    bundling,
    data,
    finetuning,
    pretraining,
    report,
    results,
    running,
    runs,
    studies,
    workspace,
)
from studykit.cli.words import speak_plainly

COMPLETING = "_ARGCOMPLETE"
"""Set by a shell that wants to know how a word could go on."""
GROUPS = (
    workspace, studies, running, pretraining, finetuning, data, runs, results, bundling, report,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 something failed, 2 a wrong call."""
    speak_plainly()
    parser = _parser()
    if COMPLETING in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
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
        prog="studykit",
        description="Does the claim hold? One notebook a claim.",
        epilog='Tab completes in bash and zsh after: eval "$(register-python-argcomplete studykit)"',
    )
    parser.add_argument("--version", action="version", version=f"studykit {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add_verbs(verbs)
    return parser
