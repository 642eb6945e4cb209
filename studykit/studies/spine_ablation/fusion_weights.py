"""How the weights of a network's kernels move over training."""

from torch import Tensor

from studykit.runs.store import Run
from studykit.runs.weights import kept_steps, method_at


def kernel_weights(run: Run, crop: Tensor) -> dict[int, list[float]]:
    """Step → weight of each kernel of the first fusion, over the steps that the run kept and its beginning.

    Args:
        run: of a network that fuses kernels.
        crop: (1, 1, D, H, W) that the weights are read on.

    Raises:
        FileNotFoundError: see :func:`~studykit.runs.weights.method_at`.
    """
    steps = (0, *kept_steps(run))
    return {step: method_at(run, step).model.fusion_weights(crop)[0].mean(1).tolist() for step in steps}
