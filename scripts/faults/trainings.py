"""A training of a second or two, whose end is known: what a fault in it is held against."""

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from children import run
from tiny_run import RECIPE, TRAINING, config

from studykit.data.sources import prepared_source
from studykit.data.splits import split_subjects
from studykit.runs.store import Run, RunStore
from studykit.runs.telling import Teller
from studykit.runs.training_run import work
from studykit.training.checkpoint import CHECKPOINT
from studykit.training.records import METRICS, read_records

STEPS = 12
CLOCKS = ("seconds", "samples_per_second", "peak_memory_bytes")
"""What differs between two trainings that are the same."""


class Toy:
    """A tiny MAE-ViT on the heads of the tests; ``saves_every`` steps it writes a checkpoint."""

    def __init__(self, heads: Path, folder: Path, saves_every: int = 2) -> None:
        self.folder = folder
        self.prepared = prepared_source(f"folder:{heads}", 4.0)
        split = split_subjects([v.subject for v in self.prepared.volumes], seed=0, val=1, test=0.3)
        recipe = replace(
            RECIPE, source=f"folder:{heads}", fingerprint=self.prepared.fingerprint, train=split.train,
            held_out=split.test,
        )  # fmt: skip
        training = replace(TRAINING, steps=STEPS, eval_every=4, checkpoint_every=saves_every)
        self.config = config(recipe=recipe, training=training)
        first = run(lambda: [self.train(folder / "first"), *sys.modules])
        if first.error:
            raise RuntimeError(f"the reference cannot be trained: {first.error}")
        for name in first.value[1:]:  # what a training imports need not be imported by each of the next ones
            with suppress(Exception):
                import_module(name)
        self.seconds = run(lambda: self.train(folder / "reference")).seconds
        self.reference = self.result(folder / "reference")

    def run_in(self, root: Path) -> Run:
        return RunStore(root).open(self.config, "a toy")

    def train(self, root: Path, before: Callable[[Run], None] = lambda run: None) -> str:
        """Bring the run below ``root`` to its end; its state."""

        def toil(own: Run) -> Any:
            before(own)
            return work(own)

        return str(RunStore(root).execute(self.config, "a toy", toil).state)

    def result(self, root: Path) -> str:
        """:func:`digest_of` the run below ``root``."""
        return digest_of(self.run_in(root).folder)

    def saved_step(self, root: Path) -> int:
        """Step of the checkpoint, 0 without one."""
        path = self.run_in(root).folder / CHECKPOINT
        return torch.load(path, weights_only=True)["state"]["step"] if path.exists() else 0

    def finish(self, root: Path) -> str:
        """What is wrong once the run was taken up again: where it began, or in what it ended; else empty."""
        saved = None if self.run_in(root).state == "done" else self.saved_step(root)

        def resume() -> tuple[str, int | None]:
            steps: list[int] = []
            tell = Teller.__call__

            def listen(teller: Teller, step: int) -> None:
                steps.append(step)
                tell(teller, step)

            Teller.__call__ = listen
            return self.train(root), steps[0] if steps else None

        again = run(resume, limit=120)
        if again.error or again.value[0] != "done":
            return f"it did not go on: {again.error or again.value[0]}"
        if again.value[1] != saved:
            return f"its checkpoint was of step {saved}, and it began at step {again.value[1]}"
        return "" if self.result(root) == self.reference else "it ended in other bits"


def digest_of(folder: Path) -> str:
    """Digest of the weights, the optimizer and the metrics of a run that is done, all bits of them."""
    digest = hashlib.sha256()
    state = torch.load(folder / CHECKPOINT, weights_only=True)["state"]
    digest.update(repr(_plain(state)).encode())
    for record in read_records(folder / METRICS):
        digest.update(json.dumps({k: v for k, v in record.items() if k not in CLOCKS}).encode())
    return digest.hexdigest()


SKIPPED = ("metrics_bytes", "seconds")
"""What differs in two checkpoints that are the same: times, and how many bytes their digits take."""


def _plain(value: Any) -> Any:
    """Tensors as the digests of their bytes."""
    if isinstance(value, torch.Tensor):
        return hashlib.sha256(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        own = sorted(((str(key), item) for key, item in value.items()), key=lambda pair: pair[0])
        return {key: _plain(item) for key, item in own if key not in SKIPPED}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
