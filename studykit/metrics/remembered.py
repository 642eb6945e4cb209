"""Counts that were made before, kept on disk: what a network takes does not change while its code does not.

A count's name is the hash of all that decides it: the source of this package, the versions of torch and
MONAI, each module's class and plain settings, the shapes of its tensors, and the arguments. What cannot be
named so, such as a class of one's own, is counted each time.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studykit import atomic, home

KNOWN = ("studykit", "torch", "monai", "einops")
"""Packages whose classes are known by their version, or by their source."""
OWN_ATTRIBUTES = frozenset(vars(nn.Module()))


class _Unnamed(Exception):
    """Something has no name that would be the same in another process."""


def remembered(
    kind: str, model: nn.Module, arguments: Mapping[str, Any], count: Callable[[], dict[str, int]]
) -> dict[str, int]:
    """What ``count`` gives for a model and its arguments, from disk where it was counted before.

    Args:
        kind: of count.
        model, arguments: all that ``count`` depends on.
        count: gives whole numbers by name.

    >>> remembered("parameters", nn.Linear(2, 3), {"of": object()}, lambda: {"all": 9})  # counted each time
    {'all': 9}
    """
    try:
        name = json.dumps([kind, code(), _of_model(model), _of_value(dict(arguments))])
    except _Unnamed:
        return count()
    path = home.data_dir() / "counts" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
    with suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    counted = count()
    with suppress(OSError):
        atomic.write_json(path, counted)
    return counted


@functools.cache
def code() -> str:
    """Digest of this package's source and of the packages below it that decide a count.

    >>> len(code())
    64
    """
    digest = hashlib.sha256()
    root = Path(home.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for package in KNOWN[1:]:
        with suppress(PackageNotFoundError):
            digest.update(version(package).encode())
    return digest.hexdigest()


def _of_model(model: nn.Module) -> list[Any]:
    """Every module's class and settings, and every tensor's shape; settings of the sort that can be named."""
    named = []
    for name, module in model.named_modules(remove_duplicate=False):
        own = {k: v for k, v in vars(module).items() if k not in OWN_ATTRIBUTES}
        if type(module).__module__.startswith("einops."):
            own.pop("_multirecipe", None)  # made from the pattern, which is named
        settings = {k: _of_value(v) for k, v in own.items()}
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        shapes = {k: [*_of_tensor(v), v.requires_grad] for k, v in tensors}
        named.append([name, _of_class(type(module)), module.training, settings, shapes])
    return named


def _of_class(own: Any) -> str:
    if not own.__module__.startswith(tuple(f"{name}." for name in KNOWN)) or "<" in own.__qualname__:
        raise _Unnamed
    return f"{own.__module__}.{own.__qualname__}"


def _of_tensor(tensor: Tensor) -> list[Any]:
    return [list(tensor.shape), str(tensor.dtype)]


def _of_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_of_value(item) for item in value]
    if isinstance(value, Mapping):
        return [[_of_value(key), _of_value(item)] for key, item in value.items()]
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, Tensor):
        if value.device.type == "meta":
            raise _Unnamed
        content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return [*_of_tensor(value), hashlib.sha256(content).hexdigest()]
    if isinstance(value, nn.Module):
        return _of_model(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [_of_class(type(value)), {f.name: _of_value(getattr(value, f.name)) for f in fields(value)}]
    if isinstance(value, functools.partial):
        return [_of_value(value.func), _of_value(value.args), _of_value(value.keywords)]
    if callable(value) and hasattr(value, "__qualname__"):
        return _of_class(value)
    raise _Unnamed
