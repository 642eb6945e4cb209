"""Options of the verb run for a cluster, and what they do: jobs instead of notebooks here."""

import argparse
from collections.abc import Iterable
from typing import Any

from studykit.cli.words import print_columns, short

LOCAL, SLURM = "local", "slurm"
HOUR = 60.0


def add_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("on a cluster", "one job a notebook; --limit is a job's time limit")
    group.add_argument(
        "--cluster", choices=(LOCAL, SLURM), default=LOCAL,
        help="local (default): here; slurm: queue jobs, which go on where their time limit ended them",
    )  # fmt: skip
    group.add_argument("--gpus", type=int, default=0, metavar="N", help="of a job (default 0)")
    group.add_argument("--cores", type=int, default=2, metavar="N", help="of a job (default 2)")
    group.add_argument("--memory", type=float, metavar="GB", help="of a job (default: the cluster's)")
    group.add_argument(
        "--sbatch", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a further option of sbatch, such as partition gpu",
    )  # fmt: skip


def queue(options: argparse.Namespace, stems: Iterable[str], parameters: dict[str, Any]) -> int:
    """Queue the notebooks, and print what was queued and where it will be heard of."""
    from studykit.home import home
    from studykit.notebooks.cluster import Resources, submit

    if options.in_place or options.minutes is not None or options.jobs != 1:
        raise ValueError(
            "--cluster slurm queues one job a notebook: give no --in-place, --minutes or --jobs."
        )
    resources = Resources(
        minutes=round(options.limit or HOUR),
        cores=options.cores,
        gpus=options.gpus,
        memory_gb=options.memory,
        options=dict(options.sbatch),
    )
    queued = submit(list(stems), parameters, resources)
    print_columns([["job", "notebook", "log"], *([q.job, q.notebook, short(q.log, home())] for q in queued)])
    print("\nsqueue shows the jobs, studykit runs what is training, studykit list how the claims stand")
    return 0
