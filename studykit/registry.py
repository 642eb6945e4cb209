"""Names to constructors, with errors that list what is known."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def build(kind: str, known: Mapping[str, Callable[..., Any]], name: str, options: Mapping[str, Any]) -> Any:
    """Call ``known[name](**options)``.

    Raises:
        ValueError: unknown ``name``, or an option that the constructor does not take; the message lists
            the known ones.
    """
    check_known(kind, name, known)
    accepted = [p for p in inspect.signature(known[name]).parameters if p != "self"]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(
            f"{kind.capitalize()} {name!r} takes no {', '.join(unknown)}. Known: {', '.join(accepted)}."
        )
    return known[name](**options)


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones.

    Raises:
        ValueError: unknown ``name``; the message lists the known ones.
    """
    if name not in known:
        raise ValueError(f"Unknown {kind} {name!r}. Known: {', '.join(sorted(known))}.")
