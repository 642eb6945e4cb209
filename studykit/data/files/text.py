"""Text of foreign files, and names that may not be text at all."""

import os
from pathlib import Path


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a mark at its start, or else in Latin-1."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def readable(name: str) -> str:
    r"""A name as text that can be printed and stored: bytes that are no UTF-8 as ``\xe9``.

    >>> readable("b\udce9")
    'b\\xe9'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
