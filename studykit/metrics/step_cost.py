"""Time and peak memory of one training step, forward and backward, measured on the machine at hand.

Each measurement has a process of its own: what an earlier one freed stays with the allocator, and would hide
what a later one takes.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import psutil
import torch
from torch import Tensor, nn

STEPS = 3
"""Steps that are timed, after a first one."""


@dataclass(frozen=True)
class StepCost:
    """What a step took.

    Attributes:
        seconds: fastest of :data:`STEPS` steps after a first one: other work on the machine only adds.
        peak_bytes: most memory held during the first step above what was held before it: activations,
            gradients and temporaries, not the parameters and not the input.
    """

    seconds: float
    peak_bytes: int


def measure_step(
    build: Callable[[], nn.Module], input_shape: Sequence[int], device: str = "cpu", **inputs: Any
) -> StepCost:
    """Forward and backward of the mean square of a model's first output, on standard normal numbers.

    >>> measure_step(partial(nn.Linear, 64, 64), (2, 64))  # doctest: +SKIP
    StepCost(seconds=0.0003, peak_bytes=94208)

    Args:
        build: makes the model; an importable function, or a ``functools.partial`` of one.
        input_shape: shape of the first argument, (B, C, D, H, W) for volumes.
        device: ``cpu``, where the process's resident memory is watched, or a CUDA device, where its
            allocator counts.
        inputs: further arguments, moved to the device.

    Raises:
        RuntimeError: the process died, most likely for want of memory. An error of the step itself is raised
            as it is.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    work = (sender, build, tuple(input_shape), device, inputs)
    child = context.Process(target=_report, args=work, daemon=True)
    child.start()
    sender.close()
    try:
        outcome = receiver.recv()
    except EOFError:
        child.join()
        raise RuntimeError(
            f"The measuring process ended with exit code {child.exitcode} and no result, most likely for "
            f"want of memory: {available_bytes(device) / 1e9:.1f} GB are free on {device}. "
            "Measure a smaller volume."
        ) from None
    child.join()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def available_bytes(device: str = "cpu") -> int:
    """Memory that is free on a device: of the card on CUDA, of the machine on CPU.

    >>> available_bytes() > 0
    True
    """
    return psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info(device)[0]


def _report(sender: Connection, *work: Any) -> None:
    """Measure, and send the cost or the error; if the caller was killed, the send fails and this ends too."""
    try:
        outcome: StepCost | Exception = _measure(*work)
    except Exception as error:
        outcome = error
    sender.send(outcome)


def _measure(
    build: Callable[[], nn.Module], shape: tuple[int, ...], device: str, inputs: dict[str, Any]
) -> StepCost:
    torch.manual_seed(0)
    model = build().to(device)
    x = torch.randn(shape).to(device)
    inputs = {name: v.to(device) if isinstance(v, Tensor) else v for name, v in inputs.items()}

    def step() -> float:
        model.zero_grad(set_to_none=True)
        start = time.perf_counter()
        output = model(x, **inputs)
        (output if isinstance(output, Tensor) else output[0]).square().mean().backward()
        if x.is_cuda:
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    peak = _peak_on_card(step, device) if x.is_cuda else _peak_of_process(step)
    return StepCost(min(step() for _ in range(STEPS)), peak)


def _peak_on_card(step: Callable[[], float], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before


def _peak_of_process(step: Callable[[], float]) -> int:
    """Resident memory of this process, sampled every millisecond by a thread."""
    process, done = psutil.Process(), threading.Event()
    samples = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(1e-3):
            samples.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        step()
    finally:
        done.set()
        watcher.join()
    return max(samples) - samples[0]
