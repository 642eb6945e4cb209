"""What a CUDA graph does, on a CPU: operations are taken down, undone, and done again on the same tensors.

As in a capture, a number that Python holds is what it was when it was taken down, a replay fills the tensors
of the capture, and reading a value or a shape that depends on one is refused.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
READING = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default, aten.masked_select.default,
    aten.is_nonzero.default,
}  # fmt: skip
"""What makes the host wait for a GPU."""
RESHAPING = {aten.squeeze_.dim, aten.squeeze_.default, aten.squeeze_.dims, aten.unsqueeze_.default}
"""What changes a tensor's shape and none of its values, once and for all."""


class Tape(TorchDispatchMode):
    """Operations as they come; a step of an optimizer and its backward pass among them.

    Args:
        keeps: whether operations are taken down.
        strict: whether reading a value is refused.

    Attributes:
        waits: how often a value was read.
    """

    def __init__(self, *, keeps: bool, strict: bool) -> None:
        super().__init__()
        self.keeps = keeps
        self.strict = strict
        self.waits = 0
        self._done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if function in READING or _indexed_by_flags(function, arguments):
            self.waits += 1
            if self.keeps and self.strict:
                raise RuntimeError(f"operation not permitted when stream is capturing: {function}")
        if not self.keeps:
            return function(*arguments, **keywords)
        if function in RESHAPING:
            return function(*arguments, **keywords)
        if writes := _written(function, arguments, keywords):
            for tensor in writes:
                if id(tensor) not in self._made:
                    self._before.setdefault(id(tensor), (tensor, tensor.clone()))
        out = function(*arguments, **keywords)
        if writes or not _is_view(function):
            self._done.append((function, arguments, keywords, None if writes else out))
        if not (writes or _is_view(function)):
            self._made |= {id(leaf): leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)}
        return out

    def undo(self) -> None:
        """Put back what was written: a capture does nothing."""
        with torch.no_grad():
            for tensor, value in self._before.values():
                tensor.copy_(value)

    def replay(self) -> None:
        with torch.no_grad():
            for function, arguments, keywords, out in self._done:
                again = function(*arguments, **keywords)
                if out is not None:
                    for place, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                        if isinstance(place, Tensor) and place is not new:
                            place.copy_(new.view_as(place))


class Sendings(TorchDispatchMode):
    """Copies to another device, the one named here: ``meta`` stands for a card.

    Attributes:
        blocking: of each, whether the host would wait until it has arrived.
    """

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device = torch.device(device)
        self.blocking: list[bool] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if function is aten._to_copy.default and keywords.get("device") == self.device:
            self.blocking.append(not keywords.get("non_blocking", False))
        return function(*arguments, **keywords)


class TapeGraphs:
    """Stands where :class:`studykit.training.graphs.CudaGraphs` does; ``captures`` counts.

    Attributes:
        strict: whether a value that is read refuses the capture; without it, it stays what it was.
    """

    strict = True

    def __init__(self) -> None:
        self.captures = 0

    def aside(self, work: Callable[[], Any]) -> tuple[Any, bool]:
        with Tape(keeps=False, strict=self.strict) as tape:
            result = work()
        return result, self.strict and tape.waits > 0

    def capture(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        random = torch.get_rng_state()
        tape = Tape(keeps=True, strict=self.strict)
        try:
            with tape:
                result = work()
        finally:
            tape.undo()
            torch.set_rng_state(random)
        self.captures += 1
        return tape.replay, result


class Never:
    """Steps as a card takes them before a capture, which never comes."""

    def aside(self, work: Callable[[], Any]) -> tuple[Any, bool]:
        return work(), False

    def capture(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        raise RuntimeError("not asked for")


def _is_view(function: Any) -> bool:
    returns = function._schema.returns
    return bool(returns) and all(
        one.alias_info is not None and not one.alias_info.is_write for one in returns
    )


def _written(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[Tensor]:
    """Tensors that an operation writes into."""
    written = []
    for place, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = arguments[place] if place < len(arguments) else keywords.get(argument.name)
            written += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return written


def _indexed_by_flags(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether places are picked by a mask, whose number has to be read."""
    if function not in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default):
        return False
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in tree_leaves(arguments[1]))
