"""From pre-training to fine-tuning: which weights are taken over, and a report of those that are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

PARTS = ("encoder", "decoder")
SHOWN = 3


@dataclass(frozen=True)
class TransferReport:
    """What became of the weights of a method and of a checkpoint.

    Attributes:
        loaded: names of the method's weights that came from the checkpoint.
        missing: names of the method's weights that did not, and keep their own start.
        unused: names in the checkpoint that were not taken.
        parameters_loaded: numbers in the loaded parameters; buffers do not count.
        share: of the method's parameters that were loaded, 0 to 1.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    parameters_loaded: int
    share: float

    def __str__(self) -> str:
        parts = " and ".join(row["part"] for row in self.rows() if row["loaded"])
        return (
            f"{parts}: {len(self.loaded)} weights from the checkpoint, {self.parameters_loaded:,} parameters "
            f"or {self.share:.1%} of all.\n{len(self.missing)} weights keep their own start; "
            f"{len(self.unused)} of the checkpoint are not used."
        )

    def rows(self) -> list[dict[str, Any]]:
        """For each ``part`` of a model, how many weights are ``loaded``, ``missing`` and ``unused``."""
        counts: dict[str, dict[str, int]] = {}
        for outcome in ("loaded", "missing", "unused"):
            for name in getattr(self, outcome):
                row = counts.setdefault(_part(name), {"loaded": 0, "missing": 0, "unused": 0})
                row[outcome] += 1
        return [{"part": part, **row} for part, row in counts.items()]


def transfer_weights(
    method: nn.Module, weights: Mapping[str, Tensor], parts: Sequence[str] = ("encoder",)
) -> TransferReport:
    """Take over whole parts of a pre-trained model, in place; the others keep their own start.

    Args:
        method: holds its network as ``model``, in parts named ``encoder``, ``decoder`` and ``head``.
        weights: state dict of the method that was pre-trained, with names such as ``model.encoder.…``.
        parts: ``("encoder",)`` or ``("encoder", "decoder")``. A head belongs to its task.

    Raises:
        ValueError: an unknown part, or names or shapes inside a part that differ; nothing is loaded then.
    """
    if not parts or set(parts) - set(PARTS):
        raise ValueError(
            f"Cannot transfer {', '.join(map(repr, parts)) or 'nothing'}. Known parts: {', '.join(PARTS)}; "
            "a head belongs to its task and stays."
        )
    own = method.state_dict()
    prefixes = tuple(f"model.{part}." for part in parts)
    wanted = {name: value for name, value in own.items() if name.startswith(prefixes)}
    given = {name: value for name, value in weights.items() if name.startswith(prefixes)}
    if differing := _differences(wanted, given, prefixes):
        more = f"; {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise ValueError(
            f"a checkpoint of another architecture: {'; '.join(differing[:SHOWN])}{more}. Build the method "
            "with the model, sizes and img_size that the checkpoint was trained with, or take fewer parts."
        )
    method.load_state_dict(given, strict=False)
    sizes = {name: parameter.numel() for name, parameter in method.named_parameters()}
    loaded = sum(sizes.get(name, 0) for name in wanted)
    return TransferReport(
        loaded=tuple(wanted),
        missing=tuple(name for name in own if name not in wanted),
        unused=tuple(name for name in weights if name not in given),
        parameters_loaded=loaded,
        share=loaded / sum(sizes.values()),
    )


def _differences(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], prefixes: Sequence[str]
) -> list[str]:
    """What does not fit, in words: parts that one side lacks, then shapes, then names."""
    sides = (("method", wanted), ("checkpoint", given))
    lacking = [
        f"the {side} has no weights under {prefix}"
        for side, names in sides
        for prefix in prefixes
        if not any(name.startswith(prefix) for name in names)
    ]
    shapes = [
        f"{name} is {tuple(given[name].shape)} in the checkpoint and {tuple(value.shape)} in the method"
        for name, value in wanted.items()
        if name in given and given[name].shape != value.shape
    ]
    absent = [f"{name} is not in the checkpoint" for name in wanted if name not in given]
    extra = [f"{name} is not in the method" for name in given if name not in wanted]
    return lacking or shapes + absent + extra


def _part(name: str) -> str:
    """``model.encoder.stem.weight`` is of ``encoder``; what is outside the model, of its own first word."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "model" else first
