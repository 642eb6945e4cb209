"""What programs write into the names of what they make of an image: SPM in front, ANTs and others behind.

``wp001`` is ``p001`` on SPM's grid, ``c1p001`` its grey matter, ``p001BrainExtractionBrain`` its brain by
ANTs.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

_MOVED = re.compile(r"(?:s\d{0,2})?[mwruaf]{0,4}")
"""Smoothed, modulated, on a template's grid, resliced, unwarped, corrected in time, filtered."""
_TISSUE = re.compile(r"[mrw]{0,3}[cp][1-6]|p0|i?y_|wj_")
_BEHIND = re.compile(r"(.*\d)([A-Za-z]{3,}\d*)")
MOST_IN_FRONT = 6
LEAST_DIGITS = 4
"""From which a mere number is a name of its own behind a letter."""


def tissue_map_of(name: str, stems: Collection[str]) -> str:
    """The stem whose tissue map or field of deformation by SPM a stem is; empty where it is none.

    >>> tissue_map_of("mwc1p001", {"p001"}), tissue_map_of("c12", {"2"})
    ('p001', '')
    """
    return _behind(name, stems, _TISSUE)


def originals(cases: Iterable[str]) -> dict[str, str]:
    """Names that a program made of others' → these; what it writes may stand behind numbers alone.

    >>> originals(["p001", "wp001", "p001Warped", "p002"]) == {"wp001": "p001", "p001Warped": "p001"}
    True
    """
    known = set(cases)
    found = {name: rest for name in known if (rest := _behind(name, known, _MOVED))}
    fronts = Counter(name[: -len(rest)] for name, rest in found.items())
    found = {
        name: rest for name, rest in found.items() if re.search(r"\d", rest) or fronts[name[: -len(rest)]] > 1
    }
    return found | _glued(known - found.keys())


def _behind(name: str, known: Collection[str], front: re.Pattern[str]) -> str:
    """What stands behind a front of a name, where it is a known name itself."""
    for size in range(1, min(MOST_IN_FRONT, len(name) - 1) + 1):
        rest = name[size:]
        own = not rest.isdigit() or len(rest) >= LEAST_DIGITS
        if own and rest in known and front.fullmatch(name[:size]):
            return rest
    return ""


def _glued(cases: Collection[str]) -> dict[str, str]:
    """Names with a word right behind their number, where the rest is a name, or where several have it."""
    parts = {name: match.groups() for name in cases if (match := _BEHIND.fullmatch(name))}
    words, heads = defaultdict(set), defaultdict(set)
    for head, word in parts.values():
        words[word].add(head)
        heads[head].add(word)
    people = {
        head for head, own in heads.items() if len(own) > 1 and any(len(words[word]) > 1 for word in own)
    }
    common = {word for head in people for word in heads[head]}
    return {
        name: head
        for name, (head, word) in parts.items()
        if head in cases or head in people or (word in common and len(words[word]) > 1)
    }
