"""Text of foreign files, and names that may not be text at all."""

import codecs
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a mark at its start, in UTF-16 with one, or else in Latin-1."""
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def readable(name: str) -> str:
    r"""A name as text that can be printed and stored: bytes that are no UTF-8, and line ends, as ``\xe9``.

    >>> readable("b\udce9"), readable("two\nlines")
    ('b\\xe9', 'two\\nlines')
    """
    if name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "file"), counted(0, "image")
    ('1 file', '0 images')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@contextmanager
def plain_path(path: Path, beside: Iterable[Path] = ()) -> Iterator[Path]:
    """The path, or a link to it where it is no UTF-8: SimpleITK ends the whole process over such a name.

    Args:
        beside: files of the same folder that the file names.
    """
    try:
        str(path.absolute()).encode()
        yield path
    except UnicodeEncodeError:
        with TemporaryDirectory(prefix="studykit-") as folder:
            for other in beside:
                (Path(folder) / other.name).symlink_to(other.absolute())
            link = Path(folder) / f"volume{path.suffix}"
            link.symlink_to(path.absolute())
            yield link
