"""An estimate: a value, its interval, the repetitions behind it, and what kind of evidence it is."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

EVIDENCE_KINDS = ("exact", "paper-scale", "reduced-scale", "mechanism")


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, as :func:`studykit.claims.verdict.judge` takes it.

    ``kind`` is ``exact`` (counted, no sampling error), ``paper-scale`` (the paper's sizes and kind of data),
    ``reduced-scale`` (smaller sizes or other data) or ``mechanism`` (labels known by construction).
    ``n`` counts the repetitions (or pairs), ``censored`` those of them that never reached the target.
    ``low`` may be -inf and ``high`` inf where the data do not bound them; ``value`` is finite.
    ``degrees`` are the degrees of freedom behind the interval, None for n − 1.

    Raises:
        ValueError: an unknown kind, a value or bound that is NaN, or a count out of range.
    """

    value: float
    low: float
    high: float
    n: int
    kind: str
    confidence: float = 0.95
    censored: int = 0
    method: str = ""
    unit: str = ""
    degrees: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in EVIDENCE_KINDS:
            known = ", ".join(EVIDENCE_KINDS)
            raise ValueError(f"unknown kind of evidence {self.kind!r}; known kinds: {known}")
        if not math.isfinite(self.value):
            raise ValueError(f"an estimate needs a finite value, got {self.value}")
        if not self.low <= self.high:
            raise ValueError(f"an interval needs low <= high, got [{self.low}, {self.high}]")
        if self.n < 1 or not 0 <= self.censored <= self.n:
            raise ValueError(f"needs n >= 1 and 0 <= censored <= n, got n={self.n}, censored={self.censored}")
        if not 0 < self.confidence <= 1:
            raise ValueError(f"confidence must be in (0, 1], got {self.confidence}")
        if self.degrees is not None and not self.degrees > 0:
            raise ValueError(f"degrees of freedom must be above 0, got {self.degrees}")

    @property
    def bound(self) -> str:
        """``at most`` or ``at least`` where censored repetitions leave one end open, else ''."""
        if not self.censored or (self.low > 0 and math.isfinite(self.high)):
            return ""
        return "at most" if math.isfinite(self.high) else "at least" if self.low > 0 else ""

    @property
    def open(self) -> bool:
        """Whether nothing bounds it on either side: a single repetition, or a mean without its spread."""
        return math.isinf(self.high) and (math.isinf(self.low) or self.low == 0)

    @classmethod
    def exact(cls, value: float, unit: str = "", method: str = "counted") -> "Estimate":
        """A counted or derived number without sampling error: its interval is itself."""
        return cls(value, value, value, n=1, kind="exact", confidence=1.0, method=method, unit=unit)

    def cells(self, name: str = "value") -> dict[str, float]:
        """The value under its ``name``, the interval and n, as cells of a table's row.

        >>> Estimate(1.5, 1.2, 1.9, 5, "reduced-scale").cells("ratio")
        {'ratio': 1.5, 'low': 1.2, 'high': 1.9, 'n': 5}
        """
        return {name: self.value, "low": self.low, "high": self.high, "n": self.n}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; an infinite bound is the string "inf" or "-inf"."""
        infinite = {math.inf: "inf", -math.inf: "-inf"}
        values = asdict(self) | {"n": int(self.n), "censored": int(self.censored)}
        return {key: infinite.get(value, value) for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Estimate":
        """The inverse of :meth:`to_dict`; an unknown key is a ValueError that lists the known ones."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown key of an estimate {', '.join(unknown)}; known: {', '.join(known)}")
        numbers = {key: float(values[key]) for key in ("value", "low", "high")}
        return cls(**{**values, **numbers})
