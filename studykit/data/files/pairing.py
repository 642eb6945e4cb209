"""Which volume files are images, which are label maps, of which image, and which are neither.

Label maps lie in a folder of their own beside the images' (``labelsTr`` beside ``imagesTr``, ``labels``
beside ``images``, ``label`` beside ``img``, …), or are told by their names: ``case_seg``, ``case-label``,
``segmentation-12`` beside ``volume-12``, ``segmentation`` beside ``imaging``. Where the masks of left and
right are two files, as in HarP (``case_L`` and ``case_R``, ``case_hippocampus_left_mask``), both are the
image's.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studykit.data.files.freesurfer import freesurfer
from studykit.data.files.label_names import (
    MAP_FOLDERS,
    MAY_BE_IMAGES,
    OTHER_MASKS,
    PREDICTED,
    PROBABILITIES,
    SIDED,
    STRUCTURES,
    bare,
    before_label,
    fits,
    folder_part,
    is_label,
    is_sure,
    leads_as_label,
    split_first,
    split_last,
    told_apart,
)
from studykit.data.files.made import tissue_map_of
from studykit.data.files.refs import Unused
from studykit.data.files.told import subject_in
from studykit.data.files.walk import stem

UNSURE = "is a label map, and does not say of which of several images"
NOT_ANATOMY = frozenset("func dwi perf fmap pet meg eeg".split())

_SESSION = re.compile(r"(?:^|[/_])(ses-[A-Za-z0-9]+)", re.IGNORECASE)

Homes = Mapping[Path, tuple[tuple[Path, ...], str]]
"""Folder of images or label maps → those of the others beside it, and what it holds itself."""


@dataclass(frozen=True)
class Pairing:
    """Images with their label maps, and what is neither.

    Attributes:
        labels: image → its label map, None without.
        right: image → the mask of the right side, where ``labels`` has that of the left alone.
        spare: image → further label maps that would fit.
        unused: files that are no image, and label maps of none.
    """

    labels: Mapping[Path, Path | None]
    right: Mapping[Path, Path]
    spare: Mapping[Path, tuple[Path, ...]]
    unused: tuple[Unused, ...]


def pair(files: Sequence[Path], root: Path, cases: Mapping[Path, str]) -> Pairing:
    """Sort volume files into images and label maps, and bring these together.

    Args:
        files: volume files under ``root``.
        cases: stem without its channel, of the files that have one.
    """
    homes, plain = _homes(files), _plain(files)
    sure = {f.parent: f.name for f, (_, role) in homes.items() if role == "images" and is_sure(f.name)}
    times = Counter(map(stem, files))
    maps: dict[object, list[Path]] = defaultdict(list)
    images, reasons, right = [], {}, {}
    labels, spare, stages = freesurfer(files)
    reasons |= dict.fromkeys(stages, "is another stage of FreeSurfer's")
    taken = {*labels, *labels.values(), *(path for more in spare.values() for path in more), *stages}
    for path in files:
        if path in taken:
            continue
        keys = _label_keys(path, root, homes, plain)
        for key in keys:
            maps[key].append(path)
        if not keys:
            reason = _no_image(path, root, homes, sure, times) or _beside_image(path, plain)
            if reason:
                reasons[path] = reason
            else:
                images.append(path)
        else:
            reasons[path] = "is a label map, and no image fits it"
    fitting = {path: _fitting(path, root, homes, maps, cases.get(path, stem(path))) for path in images}
    reasons |= dict.fromkeys((label for own in fitting.values() for label in own), UNSURE)
    for path, own in _without_rivals(fitting).items():
        if sides := _two_sides(path, own):
            own, right[path] = [sides[0]], sides[1]
        labels[path], spare[path] = (own[0] if own else None), tuple(own[1:])
    for path, more in spare.items():
        for label in more:
            reasons[label] = f"is a label map; {path.name} has {labels[path].name}"
    for label in (*labels.values(), *right.values()):
        reasons.pop(label, None)
    return Pairing(
        labels, right, spare, tuple(Unused(path, reason) for path, reason in sorted(reasons.items()))
    )


def _two_sides(image: Path, fitting: Sequence[Path]) -> tuple[Path, Path] | None:
    """The left and the right mask among an image's, where there is one of each, named alike."""
    if len(fitting) < 2 or SIDED.fullmatch(stem(image)):
        return None
    matches = {path: SIDED.fullmatch(stem(path)) for path in fitting}
    sided = {path: match for path, match in matches.items() if match}
    same = stem(image).casefold()
    sided = {p: m for p, m in sided.items() if m["case"].casefold() == same} or sided
    left, right = ([p for p, m in sided.items() if m["side"][0].lower() == side] for side in "lr")
    if len(left) != 1 or len(right) != 1:
        return None
    names = {sided[path]["case"].casefold() for path in (*left, *right)}
    return (left[0], right[0]) if len(names) == 1 else None


def _homes(files: Sequence[Path]) -> Homes:
    folders = sorted({parent for path in files for parent in path.parents})
    parts = {folder: folder_part(folder.name) for folder in folders}
    labels: dict[tuple[Path, str], dict[str, Path]] = defaultdict(dict)
    others: dict[Path, dict[str, Path]] = defaultdict(dict)
    for folder, (role, word, part) in parts.items():
        if role == "labels":
            labels[folder.parent, part].setdefault(word, folder)
            if part.startswith(" "):
                others[folder.parent][word] = folder
    training = {f.parent for f, (role, _, part) in parts.items() if (role, part) == ("images", "tr")}
    partners: dict[Path, list[Path]] = defaultdict(list)
    found: dict[Path, tuple[tuple[Path, ...], str]] = {}
    for folder, (role, _, part) in parts.items():
        beside = labels.get((folder.parent, part)) or ({} if part else others.get(folder.parent, {}))
        own = _usual(beside) if role == "images" else None
        # What is to be tested on stays apart where there is something to train on.
        if own is not None and not (part == "ts" and folder.parent in training):
            found[folder] = ((own,), "images")
            partners[own].append(folder)
    return found | {folder: (tuple(own), "labels") for folder, own in partners.items()}


def _usual(words: Mapping[str, Path]) -> Path | None:
    """Of folders of label maps beside each other that of the most usual name, or the only one."""
    usual = next((words[word] for word in MAP_FOLDERS if word in words), None)
    return usual or (next(iter(words.values())) if len(words) == 1 else None)


def _home(path: Path, homes: Homes) -> tuple[Path, tuple[Path, ...], str] | None:
    """The folder of :func:`_homes` that a file lies in, its partners, and what it holds."""
    return next(((folder, *homes[folder]) for folder in path.parents if folder in homes), None)


def _plain(files: Sequence[Path]) -> Mapping[Path, frozenset[str]]:
    """Folder → what the stems of its images are without words for images, as far as names tell.

    Also the folder above it, which has none of its own then.
    """
    found: dict[Path, set[str]] = defaultdict(set)
    for path in files:
        name = stem(path)
        if not is_label(name) and split_last(name)[1].lower() not in STRUCTURES:
            found[path.parent] |= {bare(name), name.casefold()}
            found[path.parent.parent] |= set()
    return {folder: frozenset(names) for folder, names in found.items()}


def _label_keys(path: Path, root: Path, homes: Homes, plain: Mapping[Path, frozenset[str]]) -> list[object]:
    """What images look a label map up by, the closest first; none where the file is no label map."""
    home, name = _home(path, homes), stem(path)
    own = SIDED.fullmatch(name)
    if home is not None and home[2] == "labels":
        names = [name.casefold(), before_label(name).casefold(), bare(name)]
        names += [own["case"].casefold(), bare(own["case"])] if own else []
        inside = path.parent.relative_to(home[0])
        return [(images / inside, key) for images in home[1] for key in dict.fromkeys(names)]
    if own and (own["mark"] or own["last"]):
        names = [split_last(name)[0].casefold(), own["case"].casefold(), bare(own["case"])]
    elif OTHER_MASKS.search(name) and not is_label(split_last(name)[0]):
        return []
    elif is_label(name):
        names = [before_label(name).casefold(), bare(name)]
    elif leads_as_label(name):
        names = [bare(name)]
    else:
        base, last = split_last(name)
        names = [base.casefold(), bare(base)]
        beside = plain.get(path.parent, frozenset()).intersection(names)
        if last.lower() not in STRUCTURES or not (beside if base else path.parent in plain):
            return []
    key = _bids_key(path, root)
    return [key] if key else [(path.parent, one) for one in dict.fromkeys(names)]


def _no_image(
    path: Path, root: Path, homes: Homes, sure: Mapping[Path, str], times: Mapping[str, int]
) -> str:
    """Why a file that is no label map is no image either; empty where it is one.

    Args:
        sure: folder → the one of images in it, by its name.
        times: stem → how many files have it.
    """
    parents = path.relative_to(root).parts[:-1]
    known = {part.lower() for part in parents}
    if OTHER_MASKS.search(stem(path)):
        return "is a mask of something else than structures"
    if PROBABILITIES.search(stem(path)):
        return "holds shares of a label or a tissue, no image"
    if image := tissue_map_of(stem(path), times):
        return f"is what SPM made of {image}, no image"
    if PREDICTED.fullmatch(stem(path)) or (
        _home(path, homes) is None and any(map(PREDICTED.fullmatch, parents))
    ):
        return "is what a model predicted, no image"
    if {"derivatives", "sourcedata"} & known:
        return "lies among derivatives or source data"
    if _home(path, homes) is not None:
        return ""
    if NOT_ANATOMY & known:
        return "is no anatomical image"
    if beside := next((sure[folder] for folder in path.parents if folder in sure), ""):
        return f"lies beside {beside}, where the images are"
    if any(
        folder_part(part)[0] == "labels"
        and (split_first(part)[0].lower() not in MAY_BE_IMAGES or times[stem(path)] > 1)
        for part in parents
    ):
        return (
            "lies in a folder of label maps without one of images beside it; many maps are not joined to one"
        )
    return ""


def _beside_image(path: Path, plain: Mapping[Path, frozenset[str]]) -> str:
    """Whose label maps a folder holds that is named after an image beside it, as ``p1_seg``; or nothing."""
    folder = path.parent.name
    image = before_label(folder).casefold()
    if image == folder.casefold() or image not in plain.get(path.parent.parent, ()):
        return ""
    return f"lies in {folder}, a folder of label maps of one image; many maps are not joined to one"


def _fitting(
    path: Path, root: Path, homes: Homes, maps: Mapping[object, list[Path]], case: str
) -> list[Path]:
    """Label maps that fit an image, the closest one first."""
    key = None if _home(path, homes) else _bids_key(path, root)
    if key is not None:
        return [label for label in maps.get(key, ()) if fits(stem(label), stem(path))]
    names = dict.fromkeys((stem(path).casefold(), case.casefold(), bare(case)))
    found = [label for name in names for label in maps.get((path.parent, name), ())]
    return [label for label in dict.fromkeys(found) if fits(stem(label), stem(path))]


def _without_rivals(fitting: Mapping[Path, Sequence[Path]]) -> dict[Path, list[Path]]:
    """Each image's label maps but for those that say less than it, where other images would do as well.

    Of ``p1_arterial`` and ``p1_venous``, ``p1_seg`` is the map of neither; of ``p1`` and ``p1_late``, of
    ``p1``. What a label map says in the image's own words comes first.
    """
    claims: dict[Path, set[frozenset[str]]] = defaultdict(set)
    for image, own in fitting.items():
        for label in own:
            claims[label].add(told_apart(stem(image)))
    sure = {image: [] for image in fitting}
    for image, own in fitting.items():
        words = told_apart(stem(image))
        alike = [label for label in own if told_apart(stem(label)) == words]
        more = [label for label in own if label not in alike and (len(claims[label]) == 1 or _sided(label))]
        sure[image] = alike + more
    return sure


def _sided(label: Path) -> bool:
    return SIDED.fullmatch(stem(label)) is not None


def _bids_key(path: Path, root: Path) -> tuple[str, str] | None:
    relative = path.relative_to(root)
    subject, session = subject_in(relative), _SESSION.search(relative.as_posix())
    return (subject.casefold(), session[1].casefold() if session else "") if subject else None
