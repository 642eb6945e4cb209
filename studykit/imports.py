"""Imports of large packages without what nobody here asks of them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
