"""A rule as sentences: what is measured, and what it is held against."""

from studykit.claims.claim import ARITHMETIC, DIRECTION, NUMBER, Claim
from studykit.claims.rule import Gate, Rule
from studykit.claims.words import as_written

_SHORT = {NUMBER: "a number", DIRECTION: "a direction", ARITHMETIC: "arithmetic"}


def rule_in_words(rule: Rule) -> str:
    """The decision rule, then its gates and what is judged beside it."""
    return " ".join([_decision(rule), *_conditions(rule)])


def kind_in_words(claim: Claim) -> str:
    """What sort of check it is, and whether it repeats another claim."""
    from_others = claim.rule.derived_from
    return f"{claim.checks}; follows from {', '.join(from_others)}" if from_others else claim.checks


def short_kind(claim: Claim) -> str:
    """The same in a cell of a table."""
    return _SHORT[claim.checks] + (", derived" if claim.rule.derived_from else "")


def _decision(rule: Rule) -> str:
    if rule.kind == "identity":
        return f"{rule.metric}; exact, at most {as_written(rule.tolerance)}."
    if rule.kind == "count":
        return (
            f"{rule.metric}; exact, within {rule.tolerance:.2%} of the reported {as_written(rule.reported)}."
        )
    asked = f"{rule.direction} is better, no effect is {as_written(rule.null)}"
    if rule.kind == "non-inferiority":
        asked += f", no worse means better than {as_written(rule.value_at(-rule.bar))}"
    else:
        asked += f", the least that would matter {as_written(rule.least_effect)}"
    asked += "" if rule.reported is None else f", reported {as_written(rule.reported)}"
    if rule.counted:
        return f"{rule.metric}; {asked}; counted."
    repetitions = f"{rule.repetitions} repetition{'s' * (rule.repetitions > 1)}"
    return f"{rule.metric}; {asked}; at least {repetitions}; the interval is over {rule.units}."


def _conditions(rule: Rule) -> list[str]:
    said = []
    if rule.gates:
        said.append(f"It can be answered only where {'; and where '.join(map(_gate, rule.gates))}.")
    if rule.sensitivity:
        said.append(f"Judged beside it: {'; '.join(beside.name for beside in rule.sensitivity)}.")
    return said


def _gate(gate: Gate) -> str:
    side = f"above {as_written(gate.above)}" if gate.above is not None else f"below {as_written(gate.below)}"
    return f"{gate.name} (interval {side})"
