"""Notebooks as jobs of a Slurm cluster, by submitit: one job a notebook, the summary after all others.

A job that its time limit or a preemption is about to end has its trainings save, and is queued again; it
goes on from their checkpoints. All nodes have to see the checkout and its results.
"""

import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studykit import home
from studykit.imports import how_to_get
from studykit.notebooks.catalogue import check_parameters, notebook_of, parameters_of
from studykit.notebooks.execution import SAVE_SECONDS, run_notebook

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

JOBS = "slurm"
"""Folder below ``results/batch/`` of what submitit keeps of jobs, their logs among it."""
REQUEUES = 100
"""Time limits that one notebook may come to."""
WARNING = signal.SIGUSR2
"""What a job gets before its time limit, as submitit has it."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks for.

    Attributes:
        minutes: time limit of a job, after which it is queued again.
        cores: of one node.
        gpus: of the same node.
        memory_gb: None for what the cluster gives unasked.
        options: further ones of ``sbatch``, such as a partition or an account.

    Raises:
        ValueError: less than a core, no time to save in, or a negative number.
    """

    minutes: int = 60
    cores: int = 2
    gpus: int = 0
    memory_gb: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if 60 * self.minutes <= SAVE_SECONDS:
            raise ValueError(f"a job needs more than the {SAVE_SECONDS} s to save in, got {self.minutes} min")
        if self.cores < 1 or self.gpus < 0 or (self.memory_gb is not None and self.memory_gb <= 0):
            raise ValueError(
                f"a job needs at least one core, no negative number of GPUs and some memory; got "
                f"{self.cores} cores, {self.gpus} GPUs, {self.memory_gb} GB"
            )


@dataclass(frozen=True)
class Submitted:
    """A job that waits or runs: its number, its notebook, and the file that it writes to."""

    job: str
    notebook: str
    log: Path


class NotebookJob:
    """Executes one notebook inside a job; submitit calls :meth:`checkpoint` before the job is ended."""

    def __init__(self) -> None:
        self._ending = False
        self._work: threading.Thread | None = None

    def __call__(self, stem: str, parameters: Mapping[str, Any]) -> str:
        """Where the executed notebook lies.

        Raises:
            RuntimeError: it failed; the message ends with its last words.
        """
        done = []

        def work() -> None:
            # Slurm warns every process of a job; those below this thread are told by us instead.
            signal.pthread_sigmask(signal.SIG_BLOCK, {WARNING})
            done.append(run_notebook(stem, parameters, show_output=True, stopped=lambda: self._ending))

        self._work = threading.Thread(target=work)
        self._work.start()
        self._work.join()
        if not done or done[0].error:
            raise RuntimeError(f"{stem}: {done[0].error if done else 'it could not be begun, see above'}")
        return str(done[0].output)

    def checkpoint(self, stem: str, parameters: Mapping[str, Any]) -> "DelayedSubmission":
        """Have its trainings save; what is given back goes on with them."""
        from submitit.helpers import DelayedSubmission

        self._ending = True
        if self._work is not None:
            self._work.join()
        return DelayedSubmission(NotebookJob(), stem, parameters)


def submit(stems: Sequence[str], parameters: Mapping[str, Any], resources: Resources) -> list[Submitted]:
    """Queue one job a notebook; the summary, if among them, waits until all others have ended, however.

    Parameters that a notebook does not declare are not passed to it.

    Raises:
        ValueError: an unknown notebook, parameter or profile; before anything is queued.
        RuntimeError: submitit is not installed, or Slurm is not at hand; the message says what to do.
    """
    stems = list(dict.fromkeys(notebook_of(stem) for stem in stems))
    own = {stem: {n: v for n, v in parameters.items() if n in parameters_of(stem)} for stem in stems}
    foreign = sorted(set(parameters).difference(*own.values()))
    if foreign and stems:
        raise ValueError(f"No notebook has the parameter {', '.join(foreign)}.")
    for stem in stems:
        check_parameters(stem, own[stem])
    last = [stem for stem in stems if stem.startswith("99_")]
    queued: list[Submitted] = []
    for stem in [*(stem for stem in stems if stem not in last), *last]:
        after = ":".join(one.job for one in queued) if stem in last else ""
        executor = _executor(resources, stem, f"afterany:{after}" if after else "")
        job = executor.submit(NotebookJob(), stem, own[stem])
        queued.append(Submitted(job.job_id, stem, job.paths.stdout))
    return queued


def _executor(resources: Resources, stem: str, dependency: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise RuntimeError(f"--cluster slurm needs submitit: {how_to_get('cluster')}") from error
    folder = home.results_dir() / "batch" / JOBS
    try:
        executor = submitit.SlurmExecutor(folder=str(folder / "%j"), max_num_timeout=REQUEUES)
    except RuntimeError as error:
        raise RuntimeError("Slurm is not at hand: there is no srun on the PATH of this machine") from error
    executor.update_parameters(
        job_name=stem,
        time=resources.minutes,
        cpus_per_task=resources.cores,
        signal_delay_s=SAVE_SECONDS,
        stderr_to_stdout=True,
        additional_parameters={"requeue": True, "open_mode": "append", **resources.options},
        **({"gpus_per_node": resources.gpus} if resources.gpus else {}),
        **({"mem": f"{round(1024 * resources.memory_gb)}M"} if resources.memory_gb else {}),
        **({"dependency": dependency} if dependency else {}),
    )
    return executor
