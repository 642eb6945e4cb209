"""Where :mod:`studykit.notebooks` was in 0.1: scripts written then find its names here, with a warning."""

import warnings
from typing import Any

from studykit.notebooks import batch, catalogue, execution, portable

_ROOMS = (batch, execution, catalogue, portable)


def __getattr__(name: str) -> Any:
    for room in _ROOMS:
        if name in vars(room) and not name.startswith("__"):
            found = vars(room)[name]
            place = getattr(found, "__module__", room.__name__)
            warnings.warn(f"use {place}, where {name} is", DeprecationWarning, stacklevel=2)
            return found
    raise AttributeError(f"studykit.batch has no {name!r}; studykit.notebooks has what was here")
