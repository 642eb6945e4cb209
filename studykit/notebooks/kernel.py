"""The process that executes one notebook: papermill over a kernel of this very Python.

The kernel talks through files, not through free ports, in a folder of its own: two kernels that start at once
would else take the same ones. When whoever started this process is gone, the kernel is told to save and end.
"""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from studykit.imports import without_url_grammar

LONGEST_FOLDER = 60
"""Characters of a temporary folder in which a socket may lie: the system allows it 107 in all."""


def main(notebook: str, output: str, parameters: str) -> None:
    """Execute ``notebook`` into ``output``; what it prints appears on standard output."""
    threading.Thread(target=_follow, daemon=True).start()
    with without_url_grammar():
        import papermill
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class OwnKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "transport": "ipc", "ip": f"{sockets}/kernel"})

        @property
        def kernel_spec(self) -> KernelSpec:
            """This Python's, whatever ``python3`` is first on JUPYTER_PATH."""
            command = [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3", language="python")

    usual = tempfile.gettempdir()
    place = usual if len(usual) <= LONGEST_FOLDER else "/tmp"
    with tempfile.TemporaryDirectory(prefix="studykit-", dir=place) as sockets:
        papermill.execute_notebook(
            notebook,
            output,
            json.loads(parameters),
            progress_bar=False,
            stdout_file=sys.stdout,
            cwd=str(Path(notebook).parent),
            kernel_name="python3",
            kernel_manager_class=OwnKernelManager,
        )


def _follow() -> None:
    """Wait for the end of standard input, which whoever started this holds open, and then end the kernel."""
    while os.read(0, 1):
        pass
    kernels = psutil.Process().children()
    for kernel in kernels:
        kernel.terminate()
    psutil.wait_procs(kernels)
    time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
