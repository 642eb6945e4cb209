"""A rule: what would settle a claim, written before its runs; :mod:`studykit.claims.finding` applies it.

Four kinds. ``effect``: an interval is held against ``null`` (no effect), ``least_effect`` (the smallest that
would matter) and ``reported`` (what the source gives, or None). ``non-inferiority``: it is held against
``null`` less a ``margin``. ``count``: a counted number agrees with ``reported`` within a relative
``tolerance``. ``identity``: a residual is at most the absolute ``tolerance``.
"""

import math
from dataclasses import dataclass, fields

KINDS = ("effect", "non-inferiority", "count", "identity")
DIRECTIONS = ("higher", "lower")
SCALES = ("difference", "ratio")
COUNTED = "counted"
"""Units of a number without sampling error."""

_INTERVAL_KEYS = ("metric", "direction", "scale", "null", "repetitions", "units")
KEYS = {
    "effect": (*_INTERVAL_KEYS, "least_effect", "reported", "family"),
    "non-inferiority": (*_INTERVAL_KEYS, "margin", "reported", "family"),
    "count": ("metric", "reported", "tolerance"),
    "identity": ("metric", "tolerance"),
}
"""Keys of each kind of rule, beside ``kind``, ``gates``, ``sensitivity`` and ``derived_from``."""

OPTIONAL = {"reported", "family"}
"""Keys that an effect or a non-inferiority rule may leave out."""


@dataclass(frozen=True)
class Gate:
    """What must hold for a study to be able to answer at all (assay sensitivity).

    It is passed where the whole interval of ``name``'s measure lies ``above`` or ``below`` its bound.
    """

    name: str
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"gate {self.name!r}: give either above or below")


@dataclass(frozen=True)
class Alternative:
    """Another way to ask the same, judged by the same rule: ``varies`` says in what, such as ``depth``."""

    name: str
    varies: str


@dataclass(frozen=True)
class Rule:
    """What would settle a claim.

    Attributes:
        metric: what is measured, in words.
        direction: which way is better, ``higher`` or ``lower``.
        scale: ``difference``, or ``ratio``: the null of a ratio is 1, and 1.25 mirrors to 1/1.25.
        null: the value of no effect, on the metric's own scale.
        least_effect: the smallest effect that would matter, on the metric's own scale.
        margin: how much worse than the null still counts as no worse; a factor above 1 on the ratio scale.
        reported: the number that the source gives, on the metric's own scale, or None.
        repetitions: fewest units for a verdict.
        units: what varies and is independent: "seeds", "seeds × subjects"; ``counted`` where nothing does.
        gates: what must hold for the study to be able to answer.
        sensitivity: alternatives that are judged beside.
        family: confirmatory effects that are corrected together for multiplicity, or None.
        derived_from: claims of the same paper that this one follows from; it is then not counted again.

    Raises:
        ValueError: a key is missing, foreign to the kind, or contradicts another; the message names it first.
    """

    kind: str
    metric: str
    direction: str | None = None
    scale: str | None = None
    null: float | None = None
    reported: float | None = None
    least_effect: float | None = None
    margin: float | None = None
    repetitions: int | None = None
    units: str | None = None
    tolerance: float | None = None
    family: str | None = None
    gates: tuple[Gate, ...] = ()
    sensitivity: tuple[Alternative, ...] = ()
    derived_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: got {self.kind!r}; known kinds: {', '.join(KINDS)}")
        keys, always = KEYS[self.kind], {"kind", "gates", "sensitivity", "derived_from"}
        for field in fields(self):
            key, value = field.name, getattr(self, field.name)
            if key in always:
                continue
            optional = key in OPTIONAL and self.kind in ("effect", "non-inferiority")
            if value is None and key in keys and not optional:
                raise ValueError(f"{key}: missing, and a rule of kind {self.kind!r} needs it")
            if value is not None and key not in keys:
                raise ValueError(f"{key}: has no meaning in a rule of kind {self.kind!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key}: got {value}, needs a finite number")
        names = [beside.name for beside in (*self.gates, *self.sensitivity)]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"gates or sensitivity: {', '.join(sorted(repeated))} stands twice")
        if self.kind in ("effect", "non-inferiority"):
            self._check_interval()
        if self.kind == "count" and self.reported == 0:
            raise ValueError("reported: 0 has no relative tolerance; write the rule as an identity")
        if self.tolerance is not None and self.tolerance <= 0:
            raise ValueError(f"tolerance: got {self.tolerance}, needs a number above 0")

    @property
    def counted(self) -> bool:
        """Whether the number has no sampling error."""
        return self.kind in ("count", "identity") or self.units == COUNTED

    def place(self, value: float) -> float:
        """Where a value lies on an axis on which the null is 0, better is higher, and effects mirror.

        A difference as it is, a ratio by its logarithm; a ratio of 0 lies at minus infinity.
        """
        sign = 1 if self.direction == "higher" else -1
        if self.scale == "difference":
            return sign * (value - self.null)
        if value < 0:
            raise ValueError(f"{self.metric}: a ratio cannot be {value}")
        return sign * (math.log(value / self.null) if value else -math.inf)

    def value_at(self, place: float) -> float:
        """The inverse of :meth:`place`."""
        sign = 1 if self.direction == "higher" else -1
        return self.null + sign * place if self.scale == "difference" else self.null * math.exp(sign * place)

    @property
    def bar(self) -> float:
        """Place of the least effect, or of the margin as a distance below the null."""
        if self.kind == "effect":
            return self.place(self.least_effect)
        return self.margin if self.scale == "difference" else math.log(self.margin)

    @property
    def levels(self) -> dict[str, float]:
        """What an interval is held against, on the metric's own scale, by what it is; none of a count."""
        if self.kind == "effect":
            return {"no effect": self.null, "least effect that matters": self.least_effect}
        if self.kind == "non-inferiority":
            return {"no effect": self.null, "margin": self.value_at(-self.bar)}
        return {}

    def _check_interval(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction: got {self.direction!r}; known directions: {', '.join(DIRECTIONS)}")
        if self.scale not in SCALES:
            raise ValueError(f"scale: got {self.scale!r}; known scales: {', '.join(SCALES)}")
        if self.repetitions < 1:
            raise ValueError(f"repetitions: got {self.repetitions}, needs at least 1")
        for key in ("null", "least_effect", "reported") if self.scale == "ratio" else ():
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ValueError(f"{key}: got {value}, and a ratio is above 0")
        if self.kind == "non-inferiority":
            least = 0 if self.scale == "difference" else 1
            if self.margin <= least:
                raise ValueError(f"margin: got {self.margin}, needs a number above {least}")
        elif self.bar <= 0:
            raise ValueError(
                f"least_effect: {self.least_effect} is not beyond the null {self.null} "
                f"({self.direction} is better)"
            )
        if self.kind == "effect" and self.reported is not None and self.place(self.reported) < self.bar:
            raise ValueError(
                f"reported: {self.reported} falls short of the least effect {self.least_effect} "
                f"({self.direction} is better)"
            )
