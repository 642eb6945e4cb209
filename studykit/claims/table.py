"""Strict reading of a TOML table: every key is asked for by name and type, and none may be left over."""

import math
import re
from datetime import date
from typing import Any

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Table:
    """One table of a file. Every refusal is a ValueError that begins with ``where`` and names the key."""

    def __init__(self, where: str, table: Any):
        if not isinstance(table, dict):
            raise ValueError(f"{where}: expected a table, got {type(table).__name__}")
        self.where = where
        self._table = table
        self._asked: list[str] = []

    def take(self, key: str, kind: type, *, optional: bool = False) -> Any:
        """The value of ``key``, or None where it is optional and absent; a whole number serves as a float."""
        self._asked.append(key)
        if key not in self._table:
            if optional:
                return None
            raise ValueError(f"{self.where}: missing key {key!r}; keys present: {', '.join(self._table)}")
        value = self._table[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{self.where}: key {key!r} must be {kind.__name__}, got {value!r}")
        if kind is float and not math.isfinite(value):
            raise ValueError(f"{self.where}: key {key!r} must be finite, got {value}")
        if kind is str and key != "unit" and not value.strip():
            raise ValueError(f"{self.where}: key {key!r} is empty")
        return value

    def texts(self, key: str, *, optional: bool = False) -> tuple[str, ...]:
        """A list of sentences, possibly empty."""
        values = self.take(key, list, optional=optional) or []
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise ValueError(f"{self.where}: key {key!r} must be a list of sentences, got {values!r}")
        return tuple(values)

    def tables(self, key: str, *, optional: bool = False) -> list["Table"]:
        """The entries of an array of tables, each knowing its place for its own refusals."""
        values = self.take(key, list, optional=optional) or []
        return [Table(f"{self.where}: {key}[{i}]", value) for i, value in enumerate(values)]

    def rows(self, key: str) -> tuple[dict[str, str], ...]:
        """What picks rows of a table: one mapping of columns to cells, or a list of them; () if absent."""
        self._asked.append(key)
        values = self._table.get(key, [])
        values = [values] if isinstance(values, dict) else values
        whole = isinstance(values, list) and all(isinstance(value, dict) for value in values)
        if not whole or not all(isinstance(cell, str) for value in values for cell in value.values()):
            raise ValueError(f"{self.where}: key {key!r} must map columns to texts, got {values!r}")
        return tuple(values)

    def truth(self, key: str, *, optional: bool = False) -> bool:
        """Yes or no; an optional one that is absent is no."""
        self._asked.append(key)
        value = self._table.get(key, False if optional else None)
        if not isinstance(value, bool):
            raise ValueError(f"{self.where}: key {key!r} must be true or false, got {value!r}")
        return value

    def date(self, key: str) -> date:
        """A day, written as 2026-11-27 without quotes."""
        self._asked.append(key)
        if type(self._table.get(key)) is not date:
            raise ValueError(f"{self.where}: key {key!r} must be a date, got {self._table.get(key)!r}")
        return self._table[key]

    def slug(self, key: str) -> str:
        """A name of lower-case words and digits joined by ``-``."""
        value = self.take(key, str)
        if not _SLUG.fullmatch(value):
            raise ValueError(f"{self.where}: key {key!r} must be lower-case words and '-', got {value!r}")
        return value

    def done(self) -> None:
        """Refuse the keys that nobody asked for."""
        unknown = sorted(set(self._table) - set(self._asked))
        if unknown:
            names, known = ", ".join(map(repr, unknown)), ", ".join(self._asked)
            raise ValueError(f"{self.where}: unknown key {names}; known keys: {known}")
