"""A training step as one CUDA graph: captured once its kernels are warm, then replayed on new inputs.

    eager, aside, WARM_STEPS times ─► capture ─► copy inputs in, set rates, replay ─► …

Of small networks a GPU computes faster than a host can launch kernels, some thousand a step; a graph is one
launch. A batch and its masks are drawn before, behind the replay of the step before: from CPU generators, so
that a run sees the same crops and masks on every device, and cut on the device. Dropout draws inside, from
the device's generator, which a replay moves on as an eager step does. So a training stops, resumes and ends
as it does without graphs.

What is replayed has the shapes and the numbers that it was captured with: nothing in it may read from the
device, or depend on a number that the host changes. Where a step does, all steps are eager, and the reason
is told.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from studykit.training.config import TrainingConfig
from studykit.training.distributed import World
from studykit.training.peers import PEERS
from studykit.training.rates import Rates

WARM_STEPS = 3
"""Steps before the capture: kernels are chosen, workspaces and what is cached at first use are there."""
CAPTURED = "one CUDA graph a step"
WAITS = "it waits for the device"

Result = TypeVar("Result")
Take = Callable[[Tensor, Tensor], dict[str, Tensor]]


class Graphs(Protocol):
    """What can capture work of a device: :class:`CudaGraphs`."""

    def aside(self, work: Callable[[], Result]) -> tuple[Result, bool]:
        """Do work as a capture would, on another stream; also whether the host had to wait for the device."""

    def capture(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Take work down without doing it.

        Returns:
            what does it, and what it gives: the same tensors each time, filled by each replay.

        Raises:
            RuntimeError: it cannot be captured; nothing was done on the device.
        """


class CudaGraphs:
    """Graphs of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self._device = torch.device("cuda", index)
        self._stream = _stream_of(index)

    def aside(self, work: Callable[[], Result]) -> tuple[Result, bool]:
        here, mode = torch.cuda.current_stream(self._device), torch.cuda.get_sync_debug_mode()
        self._stream.wait_stream(here)
        with warnings.catch_warnings(record=True) as said, torch.cuda.stream(self._stream):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = work()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        here.wait_stream(self._stream)
        return result, any("synchronizing CUDA operation" in str(warning.message) for warning in said)

    def capture(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        here, graph = torch.cuda.current_stream(self._device), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph, stream=self._stream):
                result = work()
        except Exception:
            # A capture that fails leaves its stream current and the device's generator believing in it.
            torch.cuda.set_stream(here)
            generator = torch.cuda.default_generators[self._device.index]
            generator.graphsafe_set_state(generator.clone_state())
            raise
        return graph.replay, result


@cache
def _stream_of(index: int) -> torch.cuda.Stream:
    """The one stream on which a device's graphs are captured: cuBLAS keeps a workspace for each, for good."""
    return torch.cuda.Stream(torch.device("cuda", index))


def graphs_of(device: torch.device) -> Graphs | None:
    """What captures work of a device; None where nothing does."""
    return CudaGraphs(device) if device.type == "cuda" else None


def replayed(turn: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Work of a device as a graph of it: what does it again; the work itself where it cannot be captured."""
    graphs = graphs_of(device)
    if graphs is None:
        return turn
    waits = [graphs.aside(turn)[1] for _ in range(WARM_STEPS)]
    try:
        return turn if waits[-1] else graphs.capture(turn)[0]
    except RuntimeError:
        return turn


def refusal(config: TrainingConfig, world: World) -> str:
    """Why steps of such a training are not captured; empty where they are."""
    if world.size > 1:
        return "several processes share a step"
    if config.optimizer in PEERS:
        return f"{config.optimizer} resolves conflicts on the host"
    return ""


class GraphedStep:
    """Calling it takes an optimizer step on a batch, eagerly until it is captured.

    Args:
        take: takes a step on volumes and masks, and gives scalars by name; it leaves no gradient behind.
        rates: set before each call.
        graphs: what captures it.
        note: told, once it is decided, how steps are taken: :data:`CAPTURED`, or ``eager`` and the reason.
        forget: drops gradients and micro-batches of a step that was begun and not ended.
    """

    def __init__(
        self,
        take: Take,
        rates: Rates,
        graphs: Graphs,
        note: Callable[[str], Any],
        forget: Callable[[], object],
    ) -> None:
        self._take = take
        self._forget = forget
        self._rates = rates
        self._graphs = graphs
        self._note = note
        self._warm = 0
        self._refused = False
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._names: list[str] = []
        self._values: Tensor | None = None

    def __call__(self, volumes: Tensor, masks: Tensor) -> dict[str, Tensor]:
        if self._warm == WARM_STEPS and not (self._replay or self._refused):
            self._capture(volumes, masks)
        if self._replay is None:
            values = self._eagerly(volumes, masks)
        else:
            for place, new in zip(self._inputs, (volumes, masks), strict=True):
                place.copy_(new)
            self._replay()
            values = dict(zip(self._names, self._values.clone().unbind(), strict=True))
        self._rates.taken()
        return values

    def _eagerly(self, volumes: Tensor, masks: Tensor) -> dict[str, Tensor]:
        if self._warm == WARM_STEPS:
            return self._take(volumes, masks)
        values, waits = self._graphs.aside(lambda: self._take(volumes, masks))
        self._warm += 1
        if waits and self._warm == WARM_STEPS:
            self._refuse(WAITS)
        return values

    def _capture(self, volumes: Tensor, masks: Tensor) -> None:
        """Take down a step on a batch of these shapes; rates are those of the step at hand."""
        inputs = volumes.clone(), masks.clone()

        def work() -> tuple[list[str], Tensor]:
            values = self._take(*inputs)
            return list(values), torch.stack([value.float() for value in values.values()])

        try:
            with self._rates.on_device():
                self._replay, (self._names, self._values) = self._graphs.capture(work)
        except RuntimeError as error:
            self._forget()  # what it left in .grad was never computed
            self._refuse(str(error).partition("\n")[0])
        else:
            self._inputs = inputs
            self._note(CAPTURED)

    def _refuse(self, reason: str) -> None:
        self._refused = True
        self._note(f"eager: {reason}")
