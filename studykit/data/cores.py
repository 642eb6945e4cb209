"""Work that falls into parts, on all cores: each part in a process that computes on one thread."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
import torch

Part = TypeVar("Part")
Made = TypeVar("Made")

PROCESS_BYTES = 3 * 2**29
"""Memory that is set aside for a process."""
IDLE_SECONDS = 5
"""After which a process that has nothing to do ends."""


def most_processes() -> int:
    """As many as torch may use threads here, and as the free memory bears."""
    return max(1, min(torch.get_num_threads(), psutil.virtual_memory().available // PROCESS_BYTES))


def on_all_cores(work: Callable[[Part], Made], parts: Sequence[Part], *, least: int = 2) -> Iterator[Made]:
    """What ``work`` makes of each part, in no particular order, as soon as it is made.

    >>> sorted(on_all_cores(abs, [-2, 1]))
    [1, 2]

    Args:
        work: a function of a module, on whose state nothing may depend: others call it in other processes.
        least: number of parts from which on other processes are worth their start.

    Raises:
        Exception: what ``work`` raised of the first part that failed.
    """
    processes = min(most_processes(), len(parts))
    if processes < 2 or len(parts) < least:
        yield from map(work, parts)
        return
    from joblib import Parallel, delayed, parallel_config

    # A worker does not take modules from the folder that one happens to stand in.
    settings: dict[str, Any] = {"inner_max_num_threads": 1, "idle_worker_timeout": IDLE_SECONDS}
    with _environment(PYTHONSAFEPATH="1"), parallel_config("loky", **settings):
        crew = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)
        yield from crew(delayed(work)(part) for part in parts)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
