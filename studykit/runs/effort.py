"""What a run takes: operations as counted, seconds as timed, the cost once it has been paid.

Everything here is told by a run's folder, or beforehand by its configuration, the plain dict that
:func:`studykit.runs.training_run.run_config` makes.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from studykit.metrics.compute import Flops, count_flops
from studykit.metrics.convergence import Curve
from studykit.runs.cost import Cost
from studykit.runs.store import Run
from studykit.runs.threads import at_threads, made_with, threads_of
from studykit.runs.weights import new_method
from studykit.training.config import CONDUCTED, TrainingConfig
from studykit.training.distributed import SINGLE
from studykit.training.graphs import refusal, replayed
from studykit.training.step import autocast

AXES = ("steps", "flops", "seconds")
TIMED_CROPS = 4
"""Crops of a timed pass: a paper's whole batch would not fit on one device."""
TIMED_VOXELS = 2**24
"""On a GPU a pass has more crops, up to so many voxels: of a few it computes faster than it is told to."""


def operations_of_crop(config: Mapping[str, Any], *, backward: bool) -> Flops:
    """Operations of one crop through the method of a run, forward or forward and backward.

    Where crops are held against each other, of one in the smallest batch.
    """
    method = new_method(config)
    count = method.least_batch
    mask = method.draw_masks(count, torch.Generator().manual_seed(0))
    shape = (count, method.batch_channels, *(config["data"]["crop_size"],) * 3)
    flops = count_flops(method, shape, backward=backward, mask=mask)
    return Flops(flops.total // count, {name: own // count for name, own in flops.by_module.items()})


def operations_of_step(config: Mapping[str, Any]) -> int:
    """Training operations of an optimizer step: of a batch, with a backward pass for each gradient taken.

    A conductor that takes the loss terms apart differentiates each of them through the whole network.
    """
    forward, whole = (operations_of_crop(config, backward=way).total for way in (False, True))
    return (forward + gradients_of_step(config) * (whole - forward)) * config["training"]["batch_size"]


def gradients_of_step(config: Mapping[str, Any]) -> int:
    """Backward passes of a step: one, or one for each loss term that a conductor takes apart."""
    return len(_conducted_terms(config)) or 1


def _conducted_terms(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Loss terms whose gradients are taken apart; none under an ordinary optimizer."""
    if config["training"].get("optimizer") not in CONDUCTED:
        return ()
    return new_method(config).terms


def seconds_a_step(config: Mapping[str, Any], nproc: int = 1) -> float:
    """Time of an optimizer step on this machine: the second of two passes over a few crops, scaled up.

    On the threads that it trains with and, on a GPU, as a graph where it trains as one; without data loading
    and validation. A compiled training is faster.

    Args:
        config: of a run.
        nproc: GPUs that share a batch; processes on one CPU share its cores and win nothing.
    """
    training = TrainingConfig.from_dict(config["training"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = new_method(config).to(device)
    side = config["data"]["crop_size"]
    most = TIMED_CROPS if device.type == "cpu" else max(TIMED_CROPS, TIMED_VOXELS // side**3)
    count = max(min(training.batch_size, most), method.least_batch)
    crops = torch.zeros(count, method.batch_channels, *(side,) * 3, device=device)
    masks, conducted = (
        method.draw_masks(count, torch.Generator().manual_seed(0), crops),
        _conducted_terms(config),
    )

    def once() -> None:
        method.zero_grad()
        with autocast(training, device, cache=False):
            terms = method(crops, masks)
        for name in conducted[1:]:
            terms.pop(name).backward(retain_graph=True)
        sum(terms.values()).backward()

    with at_threads(threads_of(config)):
        turn = once if refusal(training, SINGLE) else replayed(once, device)
        for _ in range(2):
            start = time.perf_counter()
            turn()
            if device.type == "cuda":
                torch.cuda.synchronize()
        elapsed = time.perf_counter() - start
    return elapsed * training.batch_size / count / (nproc if device.type == "cuda" else 1)


def check_axis(x: str) -> None:
    """Refuse an axis that :func:`curve_of` does not know.

    Raises:
        ValueError: unknown axis; the message lists the known ones.
    """
    if x not in AXES:
        raise ValueError(f"Unknown axis {x!r}. Known: {', '.join(AXES)}.")


def curve_of(
    run: Run, x: str, operations_a_step: float, of: Mapping[str, float] = MappingProxyType({"error": 1.0})
) -> Curve:
    """Held-out error of a run against ``steps``, training ``flops`` or training ``seconds``.

    The error is the sum of recorded held-out values, such as ``brightness``, with their weights ``of``. A run
    that diverged keeps its last error up to the end of its budget: it does not get any better, and is not
    left out.
    """
    columns = {f"val/{name}": weight for name, weight in of.items()}
    metrics = run.metrics.dropna(subset=list(columns))
    steps, seconds = metrics["step"].tolist(), metrics["seconds"].tolist()
    errors = sum(weight * metrics[name] for name, weight in columns.items()).tolist()
    budget = run.config["training"]["steps"]
    if run.state == "diverged" and steps[-1] < budget:
        rate = seconds[-1] / steps[-1] if steps[-1] else seconds_a_step(run.config)
        steps, seconds, errors = [*steps, budget], [*seconds, rate * budget], [*errors, errors[-1]]
    along = {"steps": steps, "flops": [operations_a_step * step for step in steps], "seconds": seconds}
    return Curve(along[x], errors)


def cost_of(run: Run, operations_a_step: float) -> Cost:
    """What a run took, on the devices that it ran on."""
    last, facts = run.metrics.iloc[-1], made_with(run)
    operations = float(last["step"]) * operations_a_step
    return Cost.of_run(float(last["seconds"]), facts["device"], facts["devices"], operations)


def provenance_of(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Code and hardware that runs were made with, and how many with each; on a GPU also how their ``steps``
    were taken, see :mod:`studykit.training.graphs`.

    A study that is reopened elsewhere reuses its runs, so its own provenance need not be theirs.
    """
    counts: Counter[str] = Counter()
    for run in runs:
        facts = made_with(run)
        shown = {key: facts[key] for key in ("commit", "dirty", "device", "devices")}
        shown |= {"steps": facts["steps"]} if "steps" in facts else {}
        hardware = {"cpu": facts["hardware"]["cpu"], "gpus": facts["hardware"]["gpus"]}
        counts[json.dumps(shown | hardware, sort_keys=True)] += 1
    return [json.loads(facts) | {"runs": count} for facts, count in counts.items()]
