"""The training loop: any method, on one device or several, told as it happens.

    batches, masks ─► loss terms ─► gradient ─► clip ─► optimizer ─► (record, checkpoint)

A step is in step.py, what it carries along in state.py, what may stop it in guard.py. Between two records the
host never waits for the device: losses and norms are summed where they are.
"""

import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from studykit.training.checkpoint import (
    BEST,
    CHECKPOINT,
    SNAPSHOTS,
    export_weights,
    load_checkpoint,
    save_checkpoint,
    snapshot_name,
)
from studykit.training.config import TrainingConfig
from studykit.training.distributed import SINGLE, World
from studykit.training.graphs import Graphs, graphs_of
from studykit.training.guard import Guard, collapsed_to
from studykit.training.rates import learning_rate
from studykit.training.records import METRICS, RecordWriter, read_records
from studykit.training.signals import stop_on_signal
from studykit.training.state import TrainingState
from studykit.training.step import Batches, Step, autocast, fork_random_state

ORPHAN_SECONDS = 60

Evaluate = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class Outcome:
    """How a training ended: ``done``, ``interrupted`` by a signal, ``diverged``, or ``collapsed``, that is
    at its end with features that say the same of everything."""

    state: str
    step: int
    seconds: float
    message: str = ""


def train(
    method: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    *,
    folder: str | Path,
    seed: int,
    evaluate: Evaluate,
    device: torch.device | str,
    world: World = SINGLE,
    tell: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
    graphs: Graphs | None = None,
) -> Outcome:
    """Train ``method`` in place, from the checkpoint in ``folder`` where there is one.

    Rank 0 writes to ``folder``: ``checkpoint.pt``, and ``metrics.jsonl`` with one record at step 0, every
    ``eval_every`` steps and at the end: ``step``, ``samples``, ``seconds`` (of training alone, over all
    resumes), ``lr``, ``train/<term>``, ``train/total`` and ``grad_norm`` (means since the record before),
    ``val/<name>`` of ``evaluate``, ``samples_per_second`` and ``peak_memory_bytes``.

    With ``snapshot_every`` it also leaves copies of the weights, ``snapshots/<step>.safetensors``; with
    ``keep_best`` those of the smallest ``error`` that ``evaluate`` gave, ``best.safetensors``.

    SIGTERM or SIGINT ends it at the next step boundary with a checkpoint, as ``interrupted`` even if that was
    the last step, so that whoever called stops too. On CPU, with the same number of threads, a resumed
    training ends bit-equal to one that was never stopped. Divergence ends it and leaves the last good
    checkpoint. A training whose last validation gave 1 for a ``collapsed/…`` has come to its end, but is said
    to have collapsed.

    Args:
        method: draws masks and gives loss terms, as :class:`~studykit.training.step.Trainable` says.
        seed: of data order, masks and dropout. The weights are as the caller initialised them.
        evaluate: called by rank 0 in evaluation mode, without gradients, at the training's precision. What it
            draws from torch's global generators does not move those of the training.
        world: from :func:`studykit.training.distributed.distributed_world` where there are several processes.
        tell: called with the number of steps done, at the start and after each step.
        note: called on a GPU once it is decided how steps are taken, see :mod:`studykit.training.graphs`.
        graphs: what captures steps, by default what the device has.

    Raises:
        ValueError: the batch cannot be shared equally, or ``batches`` gives another number of volumes.
        CheckpointError: the checkpoint is damaged or of another training.
        OutOfMemoryError: naming the batch size and what to change.
        RuntimeError: another process is training in ``folder``.
    """
    folder, device = Path(folder), torch.device(device)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if world.is_main:
            stack.enter_context(_sole_trainer(folder))
        stop = stack.enter_context(stop_on_signal(insist=world.size == 1))
        stack.enter_context(fork_random_state(device))
        method.to(device).train()
        step = Step(method, batches, config, device, world, graphs or graphs_of(device), note or _nobody)
        stack.callback(step.release)
        state = TrainingState(method, step.optimizer, seed=seed, device=device, world=world)
        if config.compile:
            step.compile()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        journal = _Journal(folder, state, config, seed, evaluate)
        stack.callback(journal.close)
        journal.resume_or_start()
        guard = Guard(world, device)
        tell = tell or _nobody
        tell(state.step)

        state.clock.start()
        while state.step < config.steps:
            values = step(state)
            state.step += 1
            state.averages.add(values)
            tell(state.step)
            at_end = state.step == config.steps
            record_due = at_end or state.step % config.eval_every == 0
            save_due = at_end or state.step % config.checkpoint_every == 0
            snapshot_due = config.snapshot_every is not None and state.step % config.snapshot_every == 0
            due = record_due or save_due or snapshot_due
            guard.post(
                state.step, torch.stack([values["train/total"], values["grad_norm"]]), bool(stop.received)
            )
            diverged_at, interrupted = guard.read(latest=due)
            if not (due or diverged_at or interrupted):
                continue
            state.clock.stop()
            if diverged_at:
                message = f"loss or gradient not finite at step {diverged_at}; {journal.last_checkpoint}"
                return Outcome("diverged", diverged_at, state.clock.seconds, message)
            if record_due:
                journal.record()
            if snapshot_due:
                journal.keep_snapshot()
            if save_due or interrupted:
                journal.save()
            if interrupted:
                break
            state.clock.start()
        if stop.received or state.step < config.steps:
            by = stop.received or "a signal to another process"
            message = f"stopped by {by}; {journal.last_checkpoint}"
            return Outcome("interrupted", state.step, state.clock.seconds, message)
        if world.is_main and (end := collapsed_to(read_records(folder / METRICS)[-1])):
            message = f"features collapsed, {end}, by the signs of the last validation"
            return Outcome("collapsed", state.step, state.clock.seconds, message)
        return Outcome("done", state.step, state.clock.seconds)


class _Journal:
    """What a training leaves in its folder; rank 0 writes, the others take part where ranks have to meet."""

    def __init__(
        self, folder: Path, state: TrainingState, config: TrainingConfig, seed: int, evaluate: Evaluate
    ) -> None:
        self._folder = folder
        self._state = state
        self._config = config
        self._configuration = {"seed": seed, **config.identity()}
        self._evaluate = evaluate
        self._writer: RecordWriter | None = None
        self._best = math.inf
        self.last_checkpoint = "there was no checkpoint yet"

    def resume_or_start(self) -> None:
        """Go on from the checkpoint, metrics cut back to it, or write the record of step 0."""
        saved = load_checkpoint(self._folder / CHECKPOINT, self._configuration)
        if saved:
            self._state.restore(saved)
            self._note_checkpoint()
        if self._state.world.is_main:
            self._writer = RecordWriter(self._folder / METRICS, saved["metrics_bytes"] if saved else 0)
            if saved and self._config.keep_best:
                errors = [record["val/error"] for record in read_records(self._folder / METRICS)]
                self._best = min((error for error in errors if error is not None), default=math.inf)
        if not saved:
            self.record()

    def record(self) -> None:
        state, config = self._state, self._config
        means = state.averages.take(state.world)
        steps, seconds = state.step - state.recorded_step, state.clock.seconds - state.recorded_seconds
        state.recorded_step, state.recorded_seconds = state.step, state.clock.seconds
        if self._writer is None:
            return
        validated = self._validate()
        if config.keep_best and validated["error"] < self._best:
            self._best = validated["error"]
            export_weights(state.method, self._folder / BEST, {"step": state.step, "error": self._best})
        self._writer.write(
            {
                "step": state.step,
                "samples": state.step * config.batch_size,
                "seconds": state.clock.seconds,
                "lr": learning_rate(config, max(state.step - 1, 0)),
                **means,
                **{f"val/{name}": float(value) for name, value in validated.items()},
                "samples_per_second": steps * config.batch_size / seconds if steps else math.nan,
                "peak_memory_bytes": _peak_memory(state.device),
            }
        )

    def save(self) -> None:
        captured = self._state.capture()
        if self._writer is not None:
            captured["metrics_bytes"] = self._writer.sync()
            save_checkpoint(self._folder / CHECKPOINT, captured, self._configuration)
        self._note_checkpoint()

    def keep_snapshot(self) -> None:
        if self._writer is not None:
            step = self._state.step
            export_weights(self._state.method, self._folder / SNAPSHOTS / snapshot_name(step), {"step": step})

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _validate(self) -> Mapping[str, float]:
        method, device = self._state.method, self._state.device
        method.eval()
        try:
            with fork_random_state(device), torch.no_grad(), autocast(self._config, device):
                return self._evaluate(method)
        finally:
            method.train()

    def _note_checkpoint(self) -> None:
        self.last_checkpoint = f"last checkpoint: step {self._state.step}"


@contextmanager
def _sole_trainer(folder: Path) -> Iterator[None]:
    """Hold the folder; an orphan of a killed launcher needs some seconds to notice, and is waited for."""
    lock = FileLock(folder / "training.lock")
    try:
        lock.acquire(timeout=ORPHAN_SECONDS)
    except Timeout as error:
        raise RuntimeError(
            f"another process has been training in {folder} for the last {ORPHAN_SECONDS} s. "
            "Wait until it ends, or end it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _nobody(said: object) -> None:
    """Nobody wants to know."""


def _peak_memory(device: torch.device) -> int:
    """Peak bytes: allocated on a CUDA device since this training started, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
