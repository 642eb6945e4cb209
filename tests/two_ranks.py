"""Two processes as ranks of one group, forked from a server that has imported torch once for all tests.

What is told here is what ranks compute; how they are launched, by torchrun, is tested in
``tests/training/test_distributed.py``.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable

PRELOADED = [
    "torch",
    "torch.distributed.nn",
    "studykit.training.loop",
    "studykit.losses.alignment",
    "studykit.methods",
]


def run_ranks(work: Callable[..., None], *arguments: str, size: int = 2) -> None:
    """``work(*arguments)`` in each rank, as torchrun would start it; a function of a module, not of a test.

    Raises:
        AssertionError: a rank failed; its traceback is on standard error.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [context.Process(target=_rank, args=(rank, size, port, work, arguments)) for rank in range(size)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0] * size


def _rank(rank: int, size: int, port: int, work: Callable[..., None], arguments: tuple[str, ...]) -> None:
    import torch

    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    work(*arguments)
