"""Kinds of sources, one a file: a file dropped in here that has a ``KIND`` is a new kind of data.

``KIND`` is an instance of :class:`studykit.data.kinds.kind.SourceKind`. A file imports what is heavy (torch,
nibabel, SciPy) only where it uses it: the registry is listed without.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from studykit.data.kinds.kind import ORIGINS, SourceKind


@cache
def kinds() -> tuple[SourceKind, ...]:
    """All kinds, sample volumes first and data of one's own last."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    known = [module.KIND for module in modules if hasattr(module, "KIND")]
    return tuple(sorted(known, key=lambda kind: ORIGINS.index(kind.origin)))
