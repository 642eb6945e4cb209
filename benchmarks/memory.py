"""Peak memory of a contestant: the most that torch's allocator holds at once for it, in a process of its own.

Counted, not sampled: on a GPU by the allocator, on CPU out of the profiler's record of every allocation. The
interpreter, libraries and what they keep for themselves (such as scratch space of oneDNN) are not in it.
"""

import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

TURNS = 2
"""What a contestant keeps from its first turn for the next is there in the second."""


def peak_bytes(build: Callable[[], Callable[[], object]]) -> int:
    """Most bytes held while a contestant is built and takes :data:`TURNS` turns; parameters are among them.

    Args:
        build: makes the contestant; an importable function, or a ``functools.partial`` of one.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_peak, build).result()


def _peak(build: Callable[[], Callable[[], object]]) -> int:
    if torch.cuda.is_available():
        _run(build)
        return torch.cuda.max_memory_allocated()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        _run(build)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event["name"] == "[memory]")


def _run(build: Callable[[], Callable[[], object]]) -> None:
    turn = build()
    for _ in range(TURNS):
        turn()
