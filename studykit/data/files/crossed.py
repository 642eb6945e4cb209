"""Names as a crossed design: what stands behind several subjects' names tells their images apart.

``P01_thin``, ``P01_lung``, ``P02_thin``, ``P02_lung``: heads of one shape (letters and a number), each with
several ends. No list of words knows all ends; that they repeat, or are mere words behind numbered heads,
tells them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from studykit.data.files.made import originals
from studykit.data.files.names import (
    SEPARATOR,
    case_of,
    has_number,
    is_session,
    is_uid,
    is_year,
    may_be_own,
    says_nothing,
    without_lead,
    without_modality,
    without_repeat,
)

_SURELY_TIME = re.compile(r"v(?:isit)?\d+|\d{4}", re.IGNORECASE)
_COUNTED_SCAN = re.compile(r"(?:scan|exam|study|day|week|month|year)\d+", re.IGNORECASE)
MOST_ENDS = 3
"""Ends with a number a head, on average, up to which the head is the subject."""


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """Names of files, or of folders → the part that is the subject's; empty where none is.

    >>> bare_names(["P01_x1", "P01_x2", "P02_x1", "P02_x2"])
    {'P01_x1': 'P01', 'P01_x2': 'P01', 'P02_x1': 'P02', 'P02_x2': 'P02'}
    """
    found = {name: name if is_uid(name) else case_of(name) for name in names}
    steps = (originals, _without_years, _without_repeats, _without_leads, _without_ends, _without_modalities)
    for step in steps:
        shorter = step(sorted({case for case in found.values() if not is_uid(case)}))
        found = {name: shorter.get(case, case) for name, case in found.items()}
    return found


def shape(name: str) -> str:
    """A name with ``#`` for each number: names of one shape count something."""
    return re.sub(r"\d+", "#", name.casefold())


def _without_years(cases: Iterable[str]) -> dict[str, str]:
    """Names without a year behind them, where someone has several and nothing else counts."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        words = list(SEPARATOR.finditer(case))
        if words and words[-1].start() and case[words[-1].end() :].isdigit():
            numbers[case[: words[-1].start()]].add(case[words[-1].end() :])
    years = {head: own for head, own in numbers.items() if all(map(is_year, own)) and not says_nothing(head)}
    found = {
        case: head for case in cases if (head := SEPARATOR.split(case[::-1], maxsplit=1)[-1][::-1]) in years
    }
    several = any(1 < len(own) <= MOST_ENDS for own in years.values())
    people = len({found.get(case, case) for case in cases})
    return found if several and people > 1 else {}


def _without_repeats(cases: Iterable[str]) -> dict[str, str]:
    """Names without what counts the images of a subject, where several subjects have such counts."""
    stripped = {case: bare for case in cases if (bare := without_repeat(case))}
    return stripped if len(set(stripped.values())) > 1 else {}


def _without_leads(cases: Iterable[str]) -> dict[str, str]:
    """Names without a modality or a time in front: words for these, and counted times that are crossed."""
    bare = {case: without_lead(case) for case in cases}
    bare |= {case: case for case, rest in bare.items() if is_session(rest) and says_nothing(case)}
    before: dict[str, set[str]] = defaultdict(set)
    for case in bare.values():
        lead, rest = _split_first(case)
        if _is_time(lead):
            before[rest].add(lead)
    if not any(len(own) > 1 for own in before.values()):
        return bare
    more = len(before) > len(set.union(*before.values()))
    found = {}
    for name, case in bare.items():
        lead, rest = _split_first(case)
        sure = _SURELY_TIME.fullmatch(lead) or (_COUNTED_SCAN.fullmatch(lead) and has_number(rest))
        found[name] = rest if _is_time(lead) and (more or sure) else case
    return found


def _is_time(word: str) -> bool:
    return is_year(word) or (is_session(word) and not word.isdigit())


def _without_ends(cases: Iterable[str]) -> dict[str, str]:
    """Names without their ends, where these stand behind several subjects' names."""
    heads = {case: _heads(case) for case in cases}
    ends: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for case, own in heads.items():
        for head in own:
            ends[shape(head)][head].add(case[len(head) :].casefold())
    people = {one for one, own in ends.items() if _are_people(own)}
    return {case: next((head for head in own if shape(head) in people), case) for case, own in heads.items()}


def _heads(case: str) -> list[str]:
    """The numbered beginnings of a name that may be its subject's, the shortest first, itself the last."""
    starts = [match.start() for match in SEPARATOR.finditer(case)]
    heads = [case[:start] for start in starts if start] + [case]
    return [head for head in heads if has_number(head) and not says_nothing(head)]


def _are_people(ends: Mapping[str, set[str]]) -> bool:
    """Whether heads of one shape are subjects, by what stands behind each of them."""
    if len(ends) < 2 or max(map(len, ends.values())) < 2:
        return False
    counts = Counter(end for own in ends.values() for end in own)
    times = all(map(_is_time, ends))
    if any(len([end for end in own if not may_be_own(end)]) > 1 for own in ends.values()):
        return not times or len(counts) <= len(ends)
    few = len(counts) <= len(ends) or sum(map(len, ends.values())) <= MOST_ENDS * len(ends)
    return max(counts.values()) > 1 and few and not times


def _without_modalities(cases: Iterable[str]) -> dict[str, str]:
    """Names without a modality in the middle, where the rest is several names'."""
    rests: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        rests[without_modality(case)].add(case)
    return {case: rest for rest, own in rests.items() if len(own) > 1 for case in own}


def _split_first(case: str) -> tuple[str, str]:
    """The first word of a name, and what is behind it."""
    words = SEPARATOR.split(case, maxsplit=1)
    return (words[0], words[1]) if len(words) > 1 else ("", case)
