"""Which volume files are images, which are label maps, of which image, and which are neither.

Label maps lie in a folder of their own beside the images' (``labelsTr`` beside ``imagesTr``, ``labels``
beside ``images``, ``label`` beside ``img``, …), or are told by their names: ``case_seg``, ``case-label``,
``segmentation-12`` beside ``volume-12``, ``segmentation`` beside ``imaging``. Where the masks of left and
right are two files, as in HarP (``case_L`` and ``case_R``, ``case_hippocampus_left_mask``), both are the
image's.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studykit.data.files.names import IMAGE_WORDS, MODALITY_WORDS, case_of, times
from studykit.data.files.people import subject_in
from studykit.data.files.refs import Unused
from studykit.data.files.walk import stem

_MAPS = (
    "labels masks label mask segmentations segmentation segs seg annotations annotation gts gt groundtruth "
    "ground_truth truth lbls lbl"
).split()
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "imagestr": ("labelstr",),
    **dict.fromkeys("images image imgs img volumes vols scans".split(), tuple(_MAPS)),
}
"""Images' folder → what their label maps' folder beside it may be called."""
LABEL_WORDS = frozenset(
    "dseg msk mask seg label labels lbl gt groundtruth segmentation labelmap annotation roi".split()
)
FREESURFER_IMAGES, FREESURFER_LABELS = ("orig", "T1", "nu", "norm"), ("aparc+aseg", "aseg")
"""Of ``SUBJECT/mri``, the first that is there."""
LABEL_FOLDERS = frozenset(("labelstr", "labelsts", *_MAPS)) - {"mask", "seg"}
NOT_ANATOMY = frozenset("func dwi perf fmap pet meg eeg".split())
OTHER_MASKS = re.compile(r"(deface|brain|head|body)_?mask$", re.IGNORECASE)

_SESSION = re.compile(r"(?:^|[/_])(ses-[A-Za-z0-9]+)", re.IGNORECASE)
_ENTITY = re.compile(r"(?:^|_)(acq|ce|rec|dir|run|split|part|chunk|res)-([A-Za-z0-9]+)")
_SPACE = re.compile(r"(?:^|_)space-([A-Za-z0-9]+)")
_SEPARATOR = re.compile(r"[_\-. ]+")
_SIDED = re.compile(
    r"(?P<case>.+?)[_\-. ]+(?:(?:hippocampus|hippocampal|hippo)[_\-. ]+)?"
    r"(?P<mark>(?:mask|msk|label|seg)[_\-. ]+)?(?P<side>left|right|l|r|lh|rh)"
    r"(?P<last>[_\-. ]+(?:mask|msk|label|seg))?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"([a-z]+)(\d+.*)", re.IGNORECASE)


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
    homes = _homes(files)
    maps: dict[object, list[Path]] = defaultdict(list)
    images, reasons, right = [], {}, {}
    labels, spare, stages = _freesurfer(files)
    reasons |= dict.fromkeys(stages, "is another stage of FreeSurfer's")
    taken = {*labels, *labels.values(), *(path for more in spare.values() for path in more), *stages}
    for path in files:
        if path in taken:
            continue
        keys = _label_keys(path, root, homes)
        for key in keys:
            maps[key].append(path)
        if not keys:
            reason = _no_image(path, root, homes)
            if reason:
                reasons[path] = reason
            else:
                images.append(path)
        else:
            reasons[path] = "is a label map, and no image fits it"
    for path in images:
        fitting = _fitting(path, root, homes, maps, cases.get(path, stem(path)))
        if sides := _two_sides(path, fitting):
            fitting, right[path] = [sides[0]], sides[1]
        labels[path], spare[path] = (fitting[0] if fitting else None), tuple(fitting[1:])
    for path, more in spare.items():
        for label in more:
            reasons[label] = f"is a label map; {path.name} has {labels[path].name}"
    for label in (*labels.values(), *right.values()):
        reasons.pop(label, None)
    return Pairing(
        labels, right, spare, tuple(Unused(path, reason) for path, reason in sorted(reasons.items()))
    )


def _freesurfer(
    files: Sequence[Path],
) -> tuple[dict[Path, Path | None], dict[Path, tuple[Path, ...]], list[Path]]:
    """Of ``SUBJECT/mri`` as FreeSurfer leaves it: image → label map, image → further ones, and the rest."""
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in files:
        if path.parent.name == "mri" and path.suffix == ".mgz":
            folders[path.parent][stem(path)] = path
    labels, spare, stages = {}, {}, []
    for own in folders.values():
        images = [own[name] for name in FREESURFER_IMAGES if name in own]
        maps = [own[name] for name in FREESURFER_LABELS if name in own]
        if images and maps:
            labels[images[0]], spare[images[0]] = maps[0], tuple(maps[1:])
            stages += [path for path in own.values() if path != images[0] and path not in maps]
    return labels, spare, stages


def bare(name: str) -> str:
    """What an image's and its label map's stem share: no word for image, label or modality, no case.

    >>> bare("volume-12"), bare("segmentation-12"), bare("label0003"), bare("BraTS_1_t1ce")
    ('12', '12', '0003', 'brats_1')
    """
    words = LABEL_WORDS | IMAGE_WORDS
    head, _, rest = _split_first(name)
    if head.lower() in words | {"ct", "mr"} and rest:
        name = rest
    base, last = _split_last(name)
    if last.lower() in LABEL_WORDS:
        name = base
    return "" if name.lower() in words else case_of(name).casefold()


def _two_sides(image: Path, fitting: Sequence[Path]) -> tuple[Path, Path] | None:
    """The left and the right mask among an image's, where there is one of each, named alike."""
    if len(fitting) < 2 or _SIDED.fullmatch(stem(image)):
        return None
    matches = {path: _SIDED.fullmatch(stem(path)) for path in fitting}
    sided = {path: match for path, match in matches.items() if match}
    same = stem(image).casefold()
    sided = {p: m for p, m in sided.items() if m["case"].casefold() == same} or sided
    left, right = ([p for p, m in sided.items() if m["side"][0].lower() == side] for side in "lr")
    if len(left) != 1 or len(right) != 1:
        return None
    names = {sided[path]["case"].casefold() for path in (*left, *right)}
    return (left[0], right[0]) if len(names) == 1 else None


def _homes(files: Sequence[Path]) -> dict[Path, tuple[Path, str]]:
    """Folder of label maps → the folder of their images, and the other way round: (partner, role)."""
    folders = {parent for path in files for parent in path.parents}
    homes: dict[Path, tuple[Path, str]] = {}
    for folder in sorted(folders):
        for word in FOLDERS.get(folder.name.lower(), ()):
            beside = next(
                (f for f in sorted(folders) if f.parent == folder.parent and f.name.lower() == word), None
            )
            if beside is not None:
                homes[folder], homes[beside] = (beside, "images"), (folder, "labels")
                break
    return homes


def _home(path: Path, homes: Mapping[Path, tuple[Path, str]]) -> tuple[Path, Path, str] | None:
    """The folder of :func:`_homes` that a file lies in, its partner, and its role."""
    return next(((folder, *homes[folder]) for folder in path.parents if folder in homes), None)


def _label_keys(path: Path, root: Path, homes: Mapping[Path, tuple[Path, str]]) -> list[object]:
    """What images look a label map up by; none where the file is no label map."""
    home, name = _home(path, homes), stem(path)
    if home is not None and home[2] == "labels":
        beside = home[1] / path.parent.relative_to(home[0])
        own = _SIDED.fullmatch(name)
        names = (name.casefold(), bare(name), *((own["case"].casefold(), bare(own["case"])) if own else ()))
        return [(beside, key) for key in dict.fromkeys(names)]
    base, last = _split_last(name)
    head, separated, _ = _split_first(name)
    own = _SIDED.fullmatch(name)
    if own and (own["mark"] or own["last"]):
        names = (_split_last(name)[0].casefold(), own["case"].casefold(), bare(own["case"]))
        key = _bids_key(path, root)
        return [key] if key else [(path.parent, key) for key in dict.fromkeys(names)]
    if OTHER_MASKS.search(name) or not (
        last.lower() in LABEL_WORDS or (separated and head.lower() in LABEL_WORDS)
    ):
        return []
    key = _bids_key(path, root)
    return [key] if key else [(path.parent, base.casefold()), (path.parent, bare(name))]


def _no_image(path: Path, root: Path, homes: Mapping[Path, tuple[Path, str]]) -> str:
    """Why a file that is no label map is no image either; empty where it is one."""
    parents = [part.lower() for part in path.relative_to(root).parts[:-1]]
    if OTHER_MASKS.search(stem(path)):
        return "is a mask of something else than structures"
    if {"derivatives", "sourcedata"} & set(parents):
        return "lies among derivatives or source data"
    if NOT_ANATOMY & set(parents):
        return "is no anatomical image"
    home = _home(path, homes)
    beside = [f for f, (_, role) in homes.items() if role == "images" and f.parent in path.parents]
    if home is None and beside:
        return f"lies beside {beside[0].name}, where the images are"
    if home is None and LABEL_FOLDERS & set(parents):
        return (
            "lies in a folder of label maps without one of images beside it; many maps are not joined to one"
        )
    return ""


def _fitting(
    path: Path,
    root: Path,
    homes: Mapping[Path, tuple[Path, str]],
    maps: Mapping[object, list[Path]],
    case: str,
) -> list[Path]:
    """Label maps that fit an image, the closest one first."""
    key = None if _home(path, homes) else _bids_key(path, root)
    if key is not None:
        return [label for label in maps.get(key, ()) if _fits(stem(label), stem(path))]
    names = dict.fromkeys((stem(path).casefold(), case.casefold(), bare(case)))
    found = [label for name in names for label in maps.get((path.parent, name), ())]
    return [label for label in dict.fromkeys(found) if _fits(stem(label), stem(path))]


def _bids_key(path: Path, root: Path) -> tuple[str, str] | None:
    relative = path.relative_to(root)
    subject, session = subject_in(relative), _SESSION.search(relative.as_posix())
    return (subject.casefold(), session[1].casefold() if session else "") if subject else None


def _fits(label: str, image: str) -> bool:
    """Whether each time, acquisition entity, space and modality in a label map's name is also the image's."""
    entities, last = dict(_ENTITY.findall(image)), image.rpartition("_")[2].lower()
    space, own = _SPACE.search(label), _SPACE.search(image)
    if space and space[1].lower() not in {"orig", "native", last, own[1].lower() if own else ""}:
        return False
    words = {word.lower() for word in _SEPARATOR.split(label)} & MODALITY_WORDS - {"space", "brain", "head"}
    if not times(label) <= times(image):
        return False
    same = all(entities.get(key) == value for key, value in _ENTITY.findall(label))
    return same and (not words or bool(words & {word.lower() for word in _SEPARATOR.split(image)}))


def _split_last(name: str) -> tuple[str, str]:
    """The name before its last separator, and its last word."""
    parts = list(_SEPARATOR.finditer(name))
    return (name[: parts[-1].start()], name[parts[-1].end() :]) if parts else ("", name)


def _split_first(name: str) -> tuple[str, bool, str]:
    """First word, whether it stands apart from the rest (by a separator or a number), and the rest."""
    parts = _SEPARATOR.split(name, maxsplit=1)
    if len(parts) > 1:
        numbered = _NUMBERED.fullmatch(parts[0])
        return (parts[0], True, parts[1]) if numbered is None else (numbered[1], False, "")
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], True, numbered[2]) if numbered else (name, True, "")
