"""Several processes as one training: torchrun's environment read once, the global batch shared by rows, DDP.

Every rank averages its loss over the same number of rows, so the mean of gradients that DDP takes over ranks
is the gradient of the mean over the global batch: what a single process computes.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from studykit.training.signals import stop_on_signal

LAUNCHER = "STUDYKIT_LAUNCHER"
NODES = "SLURM_JOB_NUM_NODES"
TAIL_LINES = 40
SAVE_SECONDS = 120
"""How long workers may take to save once a signal was passed on; then torchrun ends them."""
PATIENCE = timedelta(hours=1)
"""How long a rank waits for another, for instance for rank 0 while it evaluates alone."""


@dataclass(frozen=True)
class World:
    """The processes of one training, as one of them sees it."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that evaluates and writes."""
        return self.rank == 0

    def rows(self, batch_size: int, accumulate: int) -> slice:
        """This rank's rows of a global batch.

        Raises:
            ValueError: the batch cannot be cut into equal parts, one for each rank and accumulated part.
        """
        if batch_size % (self.size * accumulate):
            raise ValueError(
                f"batch_size {batch_size} cannot be shared by {self.size} process(es) in {accumulate} equal "
                f"accumulated part(s) each: make it a multiple of {self.size * accumulate}"
            )
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """``module`` itself, or in DistributedDataParallel where there are several processes."""
        if self.size == 1:
            return module
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True)

    def no_sync(self, module: nn.Module) -> AbstractContextManager[None]:
        """While open, a backward of the wrapped ``module`` keeps its gradients to this rank."""
        return nullcontext() if self.size == 1 else module.no_sync()

    def mean(self, values: Tensor) -> Tensor:
        return values if self.size == 1 else self._reduced(values, dist.ReduceOp.SUM) / self.size

    def maximum(self, values: Tensor) -> Tensor:
        return values if self.size == 1 else self._reduced(values, dist.ReduceOp.MAX)

    def gather(self, value: Any) -> list[Any]:
        """The ``value`` of every rank, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        gathered = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    @staticmethod
    def _reduced(values: Tensor, operation: Any) -> Tensor:
        reduced = values.clone()
        dist.all_reduce(reduced, operation)
        return reduced


SINGLE = World()


@contextmanager
def distributed_world() -> Iterator[World]:
    """The world that torchrun announces by RANK, WORLD_SIZE and LOCAL_RANK; a single process without them.

    The device is the CUDA device of the local rank (NCCL), or the CPU where there is none (gloo).

    Raises:
        ValueError: only a part of the three variables is set, or there are fewer CUDA devices than local
        ranks.
    """
    cuda = torch.cuda.is_available()
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield World(device=torch.device("cuda", 0) if cuda else torch.device("cpu"))
        return
    missing = [name for name in ("RANK", "LOCAL_RANK") if name not in os.environ]
    if missing:
        raise ValueError(f"WORLD_SIZE is {size}, but {' and '.join(missing)} is not set: start with torchrun")
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if cuda and local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"process {local_rank} of this machine has no device: it has {torch.cuda.device_count()} CUDA "
            "device(s). Start no more processes than devices."
        )
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    _follow_launcher()
    # The group has to end with this block: a process that exits while gloo's threads live is now and then
    # aborted. So torch.distributed.nn, whose default arguments keep the group of its first import, is
    # imported before there is one, and DDP's reference cycles are collected before the group is destroyed.
    import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield World(rank, size, local_rank, device)
    finally:
        gc.collect()
        dist.destroy_process_group()


def launch(arguments: Sequence[str], nproc: int, *, log: Path) -> bool:
    """Run ``python ARGUMENTS`` in ``nproc`` processes under torchrun, and wait for their end.

    They are processes of this machine, or in a job of Slurm with several nodes as many on each. Their output
    goes to the end of ``log``. SIGTERM and SIGINT are passed on to the workers as SIGTERM, on which they save
    and end.

    Args:
        arguments: a script and its arguments, or ``["-m", "package.module", ...]``.

    Returns:
        True if they ended by themselves, False if a signal ended them.

    Raises:
        ValueError: ``nproc`` is below 1, or cannot be shared by the nodes of the job.
        RuntimeError: they failed; the message ends with the last lines of their output.
    """
    if nproc < 1:
        raise ValueError(f"nproc is {nproc}, it must be at least 1")
    nodes = int(os.environ.get(NODES, 1)) if nproc > 1 else 1
    if nproc % nodes:
        raise ValueError(f"nproc is {nproc}, which the {nodes} nodes of this job cannot share evenly")
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={nproc // nodes}"]
    command = [*command, "--standalone"] if nodes == 1 else [*_srun(nodes), *command, *_meeting(nodes)]
    threads = str(max(1, (os.cpu_count() or 1) * nodes // nproc))
    environment = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive", **os.environ}
    if nodes == 1:  # another node does not see this process, and Slurm ends a step with its job
        environment[LAUNCHER] = str(os.getpid())
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output, stop_on_signal(insist=False) as stop:
        start = output.tell()
        # In a session of its own a Ctrl-C does not reach torchrun, which would give the workers 30 s to save.
        torchrun = subprocess.Popen(
            [*command, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        passed_on = None
        while torchrun.poll() is None:
            if stop.received and passed_on is None and _terminate(torchrun, nodes):
                passed_on = time.monotonic()
            if passed_on is not None and time.monotonic() > passed_on + SAVE_SECONDS:
                torchrun.terminate()
                torchrun.wait()
            time.sleep(0.1)
    if stop.received:
        return False
    if torchrun.returncode != 0:
        raise RuntimeError(
            f"{nproc} process(es) ended with exit code {torchrun.returncode}; from {log}:\n"
            + _workers_tail(log, start)
        )
    return True


def _workers_tail(log: Path, start: int) -> str:
    """Last lines the workers wrote after byte ``start``, without torchrun's own report on their failure."""
    with open(log, "rb") as output:
        output.seek(start)
        lines = output.read().decode(errors="replace").splitlines()
    report = next((n for n, line in enumerate(lines) if "elastic/multiprocessing/api.py" in line), len(lines))
    return "\n".join(lines[:report][-TAIL_LINES:])


def _srun(nodes: int) -> list[str]:
    """What starts a command once on each node of this job, in a step that may share the nodes with others."""
    return ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--overlap"]


def _meeting(nodes: int) -> list[str]:
    """How the torchruns of several nodes find each other: at this one, by a port that is free now."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    place = f"{os.environ.get('SLURMD_NODENAME') or socket.gethostname()}:{port}"
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={place}", f"--rdzv-id={place}"]


def _terminate(launched: subprocess.Popen[bytes], nodes: int) -> bool:
    """Pass SIGTERM on to the workers; False while there are none yet.

    Over several nodes it goes to srun, which hands it to each torchrun, which gives its workers 30 seconds.
    """
    if nodes > 1:
        launched.terminate()
        return True
    try:
        workers = psutil.Process(launched.pid).children()
        for worker in workers:
            worker.terminate()
    except psutil.NoSuchProcess:
        return False
    return bool(workers)


def _follow_launcher() -> None:
    """Send SIGTERM to this process once its launcher is gone, so that no orphan trains on unseen."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return

    def watch() -> None:
        while psutil.pid_exists(int(launcher)):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-launcher", daemon=True).start()
