"""Which subjects train, which validate, which test."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from studykit import atomic
from studykit.data.files.digests import text_sha256


@dataclass(frozen=True)
class Split:
    """Subject ids of the three parts; no subject is in two of them."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def save(self, path: str | Path) -> None:
        """Write as JSON: three lists."""
        atomic.write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "Split":
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: not such a file, or a subject in two parts.
        """
        parts = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(parts, dict) or set(parts) != {"train", "val", "test"}:
            raise ValueError(f"{path} is not a split: it needs the lists 'train', 'val' and 'test'")
        if odd := [name for name, entries in parts.items() if not isinstance(entries, list)]:
            raise ValueError(f"{path}: {odd[0]!r} must be a list of subject ids, got {parts[odd[0]]!r}")
        split = cls(**{name: tuple(str(entry) for entry in entries) for name, entries in parts.items()})
        every = [*split.train, *split.val, *split.test]
        if len(set(every)) < len(every):
            twice = next(entry for entry in every if every.count(entry) > 1)
            raise ValueError(f"{path}: subject {twice!r} is in two parts of the split")
        return split


def split_subjects(
    ids: Iterable[str],
    *,
    seed: int,
    val: int | float,
    test: int | float = 0,
    hold_out: Iterable[str] = (),
) -> Split:
    """Split subjects into training, validation and test parts.

    Every subject gets a rank from the hash of seed and id: the same ids give the same split in any order,
    on any machine.

    Args:
        ids: subject ids; one that occurs several times counts once.
        val, test: number of subjects (int) or share of them (float below 1; at least one subject unless 0).
        hold_out: ids that have to be in the test part.

    Raises:
        ValueError: fewer subjects than the parts need, with at least one for training, a subject to hold out
            that is unknown or does not fit the test part, or a seed, ids or shares of another type.
    """
    if type(seed) is bool or not isinstance(seed, Integral):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    first = _ids("hold_out", hold_out)
    ranked = sorted(_ids("ids", ids), key=lambda entry: (entry not in first, text_sha256(f"{seed}:{entry}")))
    if missing := sorted(first.difference(ranked)):
        raise ValueError(f"{', '.join(missing)} cannot be held out: known are {', '.join(sorted(ranked))}")
    n_val, n_test = (_count(share, len(ranked), name) for share, name in ((val, "val"), (test, "test")))
    if len(ranked) < n_val + n_test + 1:
        raise ValueError(
            f"{len(ranked)} subjects are too few: {n_val} to validate, {n_test} to test, at least 1 to train"
        )
    if len(first) > n_test:
        raise ValueError(f"{len(first)} subjects to hold out do not fit {n_test} to test")
    parts = ranked[n_val + n_test :], ranked[n_test : n_val + n_test], ranked[:n_test]
    return Split(*(tuple(sorted(part)) for part in parts))


def stratified_split(strata: Mapping[str, Any], *, seed: int, val: int, test: int) -> Split:
    """As :func:`split_subjects`, with every stratum in each part by its share, as near as whole people allow.

    Args:
        strata: subject id → its stratum, such as its class.
        val, test: number of subjects.

    Raises:
        ValueError: fewer subjects than the parts need.
    """
    if len(strata) < val + test + 1:
        raise ValueError(
            f"{len(strata)} subjects are too few: {val} to validate, {test} to test, at least 1 to train"
        )
    order = interleaved(strata, seed)
    parts = order[test + val :], order[test : test + val], order[:test]
    return Split(*(tuple(sorted(part)) for part in parts))


def interleaved(strata: Mapping[str, Any], seed: int) -> list[str]:
    """Subject ids in an order whose every beginning has the strata by their shares, as near as it can.

    Within a stratum they are ranked as in :func:`split_subjects`.

    >>> order = interleaved({"a": 0, "b": 0, "c": 1, "d": 1}, seed=0)
    >>> sorted({"a": 0, "b": 0, "c": 1, "d": 1}[name] for name in order[:2])
    [0, 1]
    """
    of: dict[Any, list[str]] = {}
    for entry in sorted(strata, key=lambda entry: text_sha256(f"{seed}:{entry}")):
        of.setdefault(strata[entry], []).append(entry)
    placed = [
        ((place + 0.5) / len(own), str(stratum), entry)
        for stratum, own in of.items()
        for place, entry in enumerate(own)
    ]
    return [entry for *_, entry in sorted(placed)]


def _ids(name: str, given: Iterable[str]) -> set[str]:
    """Distinct ids; a text alone is none, as its letters would be taken for subjects."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a list of subject ids, got {given!r}")
    return set(given)


def _count(share: int | float, total: int, name: str) -> int:
    if isinstance(share, bool):
        raise ValueError(f"{name} must be a number of subjects or a share below 1, got {share!r}")
    if isinstance(share, int) and share >= 0:
        return share
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise ValueError(f"{name} must be a number of subjects or a share below 1, got {share!r}")
    return max(1, round(share * total)) if share > 0 else 0


def nested_subsets(
    ids: Iterable[str],
    fractions: Iterable[float],
    seed: int,
    strata: Mapping[str, Any] | None = None,
) -> dict[float, tuple[str, ...]]:
    """Fraction → its subjects, so that each smaller subset lies in each larger one.

    With ``strata``, subject id → its stratum, each has the strata by their shares, see :func:`interleaved`.

    A fraction f of n subjects has f · n of them, halves rounded up. As in :func:`split_subjects` the same ids
    give the same subsets in any order, on any machine.

    Raises:
        ValueError: no subjects, a fraction outside 0 to 1, or one so small that no subject is left.
    """
    if strata is None:
        ranked = sorted(set(ids), key=lambda entry: text_sha256(f"{seed}:subset:{entry}"))
    else:
        ranked = interleaved({entry: strata[entry] for entry in ids}, seed)
    return {fraction: tuple(sorted(ranked[: _part_of(fraction, len(ranked))])) for fraction in fractions}


def stratified_folds(
    strata: Mapping[str, tuple[str, ...]], folds: int, *, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Subjects in test folds of equal mixture: disjoint, and together all of them.

    The subjects of each stratum are dealt in turn, in the order of the hash of seed and id, each stratum
    going on where the last one ended: folds differ by at most one subject of a stratum and one in total. As
    in :func:`split_subjects` the same subjects give the same folds in any order, on any machine.

    Args:
        strata: subject → its classes, one of each trait that every fold has to have all classes of, such as
            ``("male", "healthy")``.

    Raises:
        ValueError: fewer than 2 folds, no subjects, different numbers of traits, a trait with one class only,
            or a fold that would have one class only.
    """
    if folds < 2 or not strata or len({len(classes) for classes in strata.values()}) != 1:
        raise ValueError(
            f"folds need at least 2 of them and subjects with as many traits each; got {folds} folds of "
            f"{len(strata)} subjects"
        )
    ranked = sorted(strata, key=lambda entry: (strata[entry], text_sha256(f"{seed}:fold:{entry}")))
    parts = tuple(tuple(sorted(ranked[start::folds])) for start in range(folds))
    for trait, classes in enumerate(zip(*strata.values(), strict=True)):
        known = sorted(set(classes))
        if len(known) < 2:
            raise ValueError(f"all {len(strata)} subjects are {known[0]!r}: one class only")
        for number, part in enumerate(parts, start=1):
            present = {strata[entry][trait] for entry in part}
            if lacking := [word for word in known if word not in present]:
                raise ValueError(
                    f"fold {number} of {folds} has none of {', '.join(lacking)}: "
                    f"{', '.join(f'{classes.count(word)} are {word}' for word in known)} of {len(strata)} "
                    "subjects; take fewer folds or more subjects"
                )
    return parts


def refuse_overlap(pretraining: Iterable[str], test: Iterable[str]) -> None:
    """Make sure that pre-training saw no subject of the test split.

    Raises:
        ValueError: it saw some; the message names them.
    """
    if seen := sorted(set(pretraining) & set(test)):
        raise ValueError(
            f"pre-training saw {len(seen)} subject(s) of the test split: {', '.join(seen)}. "
            "Leave them out of pre-training, or test on others."
        )


def _part_of(fraction: float, total: int) -> int:
    if not total:
        raise ValueError("there are no subjects to choose a fraction of")
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction of the subjects lies above 0 and up to 1, got {fraction}")
    # Rounding first: 0.29 · 50 is a little less than 14.5 in binary numbers.
    count = math.floor(round(fraction * total, 9) + 0.5)
    if count < 1:
        raise ValueError(
            f"{100 * fraction:g} % of {total} subjects is none: the smallest fraction that has one is "
            f"{50 / total:g} %. Take a larger fraction or more subjects."
        )
    return count
