"""A process that works on one run after another on one thread, as :mod:`studykit.runs.side_by_side` says.

standard input   a task a line, as JSON: root, config, label; its end means that whoever asked is gone
standard output  an answer a line: how the run ended, or what went wrong
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any

import torch

from studykit.runs.store import RunStore
from studykit.runs.training_run import work


def main() -> None:
    """Answer tasks until there are no more; SIGTERM in a training makes it save, as everywhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a training prints is no answer
    torch.set_num_threads(1)
    tasks: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(tasks, busy), daemon=True).start()
    while (line := tasks.get()) is not None:
        busy.set()
        answer = _answer(json.loads(line))
        busy.clear()
        print(json.dumps(answer), file=answers, flush=True)


def _read(tasks: "queue.Queue[str | None]", busy: threading.Event) -> None:
    for line in sys.stdin:
        tasks.put(line)
    tasks.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _answer(task: dict[str, Any]) -> dict[str, str]:
    try:
        run = RunStore(task["root"]).execute(task["config"], task["label"], work)
    except KeyboardInterrupt:
        return {"state": "interrupted"}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    return {"state": str(run.state)}


if __name__ == "__main__":
    main()
