"""What a study would take, told without training: its arms, steps, operations, minutes, memory and disk.

Where ``$STUDYKIT_DRY_RUN`` names a folder, the first training that a study would make stops the notebook, and
the plan of every study that the kernel has opened lies there. Evidence goes to that folder, too.
"""

import json
from pathlib import Path
from typing import Any

import torch

from studykit import atomic, home
from studykit.metrics.activations import kept_bytes
from studykit.metrics.compute import count_parameters
from studykit.runs.store import Run
from studykit.runs.weights import new_method

PLAN = "plan.json"
STATE_BYTES = 16
"""A parameter in single precision, its gradient and AdamW's two moments."""
SAVED_BYTES = 12
"""The same without the gradient, in a checkpoint."""


class DryRun(KeyboardInterrupt):
    """Nothing is trained: what it would take has been written down."""


def write_plan(rows: list[dict[str, Any]]) -> None:
    """Leave rows in the folder of a dry run, beside those of another study."""
    folder = home.dry_run()
    assert folder is not None
    atomic.write_json(folder / f"{len(list(folder.glob(f'*{PLAN}'))):03d}-{PLAN}", rows)


def read_plans(folder: Path) -> list[dict[str, Any]]:
    """The rows that a dry run left."""
    return [row for path in sorted(folder.glob(f"*{PLAN}")) for row in json.loads(path.read_bytes())]


def needs(run: Run) -> dict[str, float | None]:
    """Megabytes of memory while a run trains, None where that cannot be counted, and of disk afterwards."""
    method, training = new_method(run.config), run.config["training"]
    parameters = count_parameters(method)
    side, batch = run.config["data"]["crop_size"], training["batch_size"] // (training.get("accumulate") or 1)
    try:
        mask = method.draw_masks(1, torch.Generator().manual_seed(0))
        kept = kept_bytes(method, (1, method.batch_channels, side, side, side), mask=mask)
        memory = (batch * kept + STATE_BYTES * parameters) / 1e6
    except Exception:  # what depends on numbers cannot be followed without them
        memory = None
    snapshots = training["steps"] // training["snapshot_every"] if training["snapshot_every"] else 0
    return {"memory (MB)": memory, "disk (MB)": (SAVED_BYTES + 4 * snapshots) * parameters / 1e6}
