"""What the two arms are made of, as a row of a table each."""

from typing import TYPE_CHECKING

from studykit.metrics.compute import count_parameters

if TYPE_CHECKING:
    from studykit.arms.arm import Arm
    from studykit.study.study import Study


def described(study: "Study", arm: "Arm") -> dict[str, str | int]:
    """Parameters, patch grid, visible patches, and operations of one crop, forward and with backward.

    Operations count 2 per multiply-accumulate.
    """
    method = study.untrained(arm)
    forward, step = study.flops(arm).total, study.flops(arm, backward=True).total
    return {
        "arm": arm.name,
        "parameters": f"{count_parameters(method):,}",
        "patch grid": "×".join(map(str, method.grid)),
        "visible": method.num_visible,
        "GFLOP forward": f"{forward / 1e9:.3f}",
        "GFLOP training": f"{step / 1e9:.3f}",
    }
