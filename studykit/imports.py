"""Imports of large packages without what nobody here asks of them, and how to get one that is missing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from studykit import home
from studykit.version import __version__

URL_GRAMMAR = "rfc3987_syntax"


@contextmanager
def without_url_grammar() -> Iterator[None]:
    """While open, jsonschema is imported without the grammar of URLs that it would compile first.

    papermill and MONAI import jsonschema. The grammar takes one to two seconds of each process that does,
    and serves a check of formats that neither of them switches on.
    """
    if URL_GRAMMAR in sys.modules or "jsonschema" in sys.modules:
        yield
        return
    sys.modules[URL_GRAMMAR] = None  # type: ignore[assignment]  # Python's word for "there is none"
    try:
        yield
    finally:
        del sys.modules[URL_GRAMMAR]


def how_to_get(extra: str) -> str:
    """The command that brings what an ``extra`` of pyproject.toml names: in a clone, or beside the wheel.

    It never names the package alone, as the package index has another one of that name.
    """
    if (home.PACKAGE.parent / "pyproject.toml").is_file():
        return f"pip install -e '.[{extra}]' in the clone"
    return f"pip install 'studykit-{__version__}-py3-none-any.whl[{extra}]' beside the wheel"
