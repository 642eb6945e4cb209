"""What the arms are made of, as a row of a table each."""

from typing import TYPE_CHECKING

from studykit.metrics.compute import count_parameters

if TYPE_CHECKING:
    from studykit.study.study import Study


def described(study: "Study", name: str) -> dict[str, str | int | float]:
    """Parameters and operations, the encoder's apart: of a crop forward, of a step with backward."""
    method, flops = study.untrained(name), study.flops(name)
    return {
        "arm": name,
        "parameters": count_parameters(method),
        "of the encoder": count_parameters(method.model.encoder),
        "GFLOP of a crop": flops.total / 1e9,
        "in the encoder": flops.by_module["model.encoder"] / 1e9,
        "GFLOP a step": study.operations_a_step(name) / 1e9,
    }
