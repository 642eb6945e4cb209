"""What the names of files and folders say of label maps: which they are, and of which image.

Words that tell apart what a subject has several of (side, phase, frame, patch, space, …) are compared, so
that no image is given the label map of another one.
"""

import re

from studykit.data.files.names import IMAGE_WORDS, MODALITY_WORDS, case_of, times

LABEL_WORDS = frozenset(
    "dseg msk msks mask masks seg segs segm label labels lbl lbls gt gts truth groundtruth segmentation "
    "segmentations labelmap labelmaps annotation annotations annot roi rois aseg parc parcellation aparc "
    "synthseg consensus staple wmparc ribbon".split()
)
STRUCTURES = frozenset(
    "lesion lesions tumor tumors tumour tumours contour contours aneurysm aneurysms wmh infarct nodule "
    "nodules".split()
)
"""Last words of a label map's name where an image has the name before them."""
PROBABILITIES = re.compile(
    r"(?:^|[_\-. ])(?:probseg|probmap|probability|probabilities|softmax|logits|pve[_\-]?\d|mixeltype)$|"
    r"posteriors?\d*$",
    re.IGNORECASE,
)
"""Ends of names of what holds shares of labels or of tissue, those of FSL and ANTs among them."""
PREDICTED = re.compile(
    r"(?:^|.*[_\-. ])(?:preds?|predicted|predictions?|inferred|inference)(?:T[rs])?(?:$|[_\-. ].*)|"
    r"nnunet_(?:results|trained_models)|nnunettrainer\w*",
    re.IGNORECASE,
)
"""Names of what a model gave."""
OTHER_MASKS = re.compile(
    r"(deface|brain|head|body)_?mask(?:_fs(?:\.\d)?)?$|brainextractionmask$", re.IGNORECASE
)

MAP_FOLDERS = tuple(
    "labels masks label mask segmentations segmentation segs seg annotations annotation gts gt groundtruth "
    "gtsegmentations truth lbls lbl msk msks rois roi contours contour labelmaps labelmap staple "
    "silverstandard goldstandard".split()
)
"""What a folder of label maps may be called, without separators and part; the first one there is taken."""
SURE_FOLDERS = frozenset("images image imgs img volumes volume vols scans".split())
"""Words of folders that hold all the images."""
IMAGE_FOLDERS = SURE_FOLDERS | frozenset(
    "data ct cts mr mri mris pet t1 t1w t2 t2w flair nifti original originals".split()
)
MAY_BE_IMAGES = frozenset(("mask", "seg"))
"""Folders of these names are taken for label maps only beside one of images."""
_PARTS = {
    **dict.fromkeys(("tr", "train", "training"), "tr"),
    **dict.fromkeys(("ts", "test", "testing"), "ts"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_FOLDER = re.compile(rf"(?P<first>{_PART})?(?P<word>.+?)(?P<last>{_PART})?")
_OF_ONE = re.compile(r"(?!deface|brain|head|body).+masks?")
_GLUED = re.compile(r"(?!prob).+(?:masks?|segs?|segmentations?|labelmaps?|\+aseg)")
"""Last words that end in one for label maps: ``lungmask``, ``ManualSegmentation``, ``aparc+aseg``."""
_LEADS = re.compile(r"(?:[Ll]abels?|[Mm]asks?|[Ss]egmentations?)(?=[A-Z])")
_SERIES_OF_MAPS = re.compile(
    r"(?:masks?|labels?|segs?|segmentations?|annotations?|gt|ground_?truth)(?:[_\-. ]?(?:dicom|dcm))?|"
    r"labell?ed[_\-. ]?(?:dicom|dcm)",
    re.IGNORECASE,
)
_RATER = re.compile(r"[_\-. ]+(?:reader|rater|observer|annotator|expert)[_\-]?\d+$", re.IGNORECASE)

SIDED = re.compile(
    r"(?P<case>.+?)[_\-. ]+(?:(?:hippocampus|hippocampal|hippo)[_\-. ]+)?"
    r"(?P<mark>(?:mask|msk|label|seg)[_\-. ]+)?(?P<side>left|right|l|r|lh|rh)"
    r"(?P<last>[_\-. ]+(?:mask|msk|label|seg))?",
    re.IGNORECASE,
)
_SIDES = {"left": "left", "l": "left", "lh": "left", "right": "right", "r": "right", "rh": "right"}
_ALIKE = {
    **dict.fromkeys(("art", "arterial"), "arterial"),
    **dict.fromkeys(("ven", "venous", "pv", "portal", "portalvenous"), "venous"),
    **dict.fromkeys(("nc", "noncontrast"), "noncontrast"),
    **dict.fromkeys(("insp", "inspiration"), "insp"),
    **dict.fromkeys(("exp", "expiration"), "exp"),
    **dict.fromkeys(("reg", "registered"), "registered"),
    **dict.fromkeys(("sa", "sax"), "sax"),
    **dict.fromkeys(("la", "lax"), "lax"),
    **dict.fromkeys(("flip", "flipped"), "flipped"),
    **{word: word for word in "delayed native ed es rest stress test retest rescan mni".split()},
    "resampled": "resampled", "cropped": "cropped",
}  # fmt: skip
"""Word for a phase, a state or a view → one of those that mean the same."""
_MOVED = frozenset(("flipped", "mni"))
"""Images of these states have label maps of the same state alone."""
_COUNTED = re.compile(
    r"(?:^|[_\-. ])(scan|series|frame|phase|echo|time|patch|crop|aug|rep|repeat|slab)[_\-. ]?0*(\d+)"
    r"(?=[_\-. ]|$)",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"(?:^|_)(acq|ce|rec|dir|run|split|part|chunk|res)-([A-Za-z0-9]+)")
_SPACE = re.compile(r"(?:^|_)space-([A-Za-z0-9]+)")
_SEPARATOR = re.compile(r"[_\-. ]+")
_NUMBERED = re.compile(r"([a-z]+)(\d+.*)", re.IGNORECASE)
_AGREED = re.compile(r"aggregated[_\-]maj[_\-]seg", re.IGNORECASE)
"""What KiTS21 calls the map that most of its annotators agree on."""


def folder_part(name: str) -> tuple[str, str, str]:
    """Role of a folder (``images``, ``labels`` or none), its word, and the part of the data that it states.

    What stands behind it is of the part: ``labelsTr_ct`` belongs to ``imagesTr_ct``.

    >>> folder_part("imagesTr"), folder_part("TrainLabels"), folder_part("lung_mask"), folder_part("anat")
    (('images', 'images', 'tr'), ('labels', 'labels', 'tr'), ('labels', 'lungmask', ''), ('', 'anat', ''))
    >>> folder_part("imagesTr_ct"), folder_part("labels-v2")
    (('images', 'images', 'tr ct'), ('labels', 'labels-v2', ' v2'))
    """
    role, word, part = _whole_part(name)
    first, *rest = _SEPARATOR.split(name, maxsplit=1)
    if role or not rest:
        return role, word, part
    role, of_first, part = _whole_part(first)
    if not role or not rest[0]:
        return "", word, ""
    return role, of_first if role == "images" else name.lower(), f"{part} {rest[0].lower()}"


def _whole_part(name: str) -> tuple[str, str, str]:
    word, part = _SEPARATOR.sub("", name.lower()), ""
    if word not in MAP_FOLDERS and word not in IMAGE_FOLDERS:
        match = _FOLDER.fullmatch(word)
        if match and (match["first"] or match["last"]):
            known = match["word"] in MAP_FOLDERS or match["word"] in IMAGE_FOLDERS
            word, part = (match["word"], _PARTS[match["first"] or match["last"]]) if known else (word, "")
    if word in IMAGE_FOLDERS:
        return "images", word, part
    return ("labels" if word in MAP_FOLDERS or _OF_ONE.fullmatch(word) else "", word, part)


def holds_series_of_maps(folder: str) -> bool:
    """Whether a folder of DICOM files is one of label maps by its name, as ``MASKS_DICOM`` of 3D-IRCADb."""
    return bool(_SERIES_OF_MAPS.fullmatch(folder))


def is_sure(name: str) -> bool:
    """Whether a folder is one of images by its name, and what lies beside it is none."""
    return folder_part(name)[1] in SURE_FOLDERS


def bare(name: str) -> str:
    """What an image's and its label map's stem share: no word for image, label or modality, no case.

    >>> bare("volume-12"), bare("segmentation-12"), bare("label0003"), bare("BraTS_1_t1ce"), bare("P1_image")
    ('12', '12', '0003', 'brats_1', 'p1')
    """
    if _AGREED.fullmatch(name):
        return ""
    words = LABEL_WORDS | IMAGE_WORDS
    head, _, rest = split_first(name)
    if head.lower() in words | {"ct", "mr"} and rest:
        name = rest
    name = before_label(name) if is_label(name) else name
    base, last = split_last(name)
    if last.lower() in IMAGE_WORDS:
        name = base
    return "" if name.lower() in words | STRUCTURES else case_of(name).casefold()


def is_label(name: str) -> bool:
    """Whether a stem's last word is one for label maps: ``p1_seg``, ``p1_seg35``, ``p1-label_1``."""
    return before_label(name) != name


def before_label(name: str) -> str:
    """A stem without the words for a label map at its end; the stem itself where it has none.

    >>> before_label("p1_lesion_mask"), before_label("p1-label_1"), before_label("p1_ground_truth")
    ('p1', 'p1', 'p1')
    """
    if (rater := _RATER.search(name)) and rater.start():
        before, word = split_last(name[: rater.start()])
        return before if before and word.lower() in STRUCTURES | {"anatomy"} else name[: rater.start()]
    base, last = split_last(name)
    before, word = split_last(base)
    if last.isdigit() and ((before and word.lower() in LABEL_WORDS) or _GLUED.fullmatch(word.lower())):
        base, last = before, word
    word = _without_number(last)
    if word not in LABEL_WORDS and not _GLUED.fullmatch(word) and not _LEADS.match(last):
        return name
    before, word = split_last(base)
    return before if word.lower() in STRUCTURES | {"ground"} else base


def leads_as_label(name: str) -> bool:
    """Whether a stem begins with a word for label maps that stands apart: ``seg_p1``, ``label0003``."""
    head, apart, _ = split_first(name)
    return apart and head.lower() in LABEL_WORDS


def fits(label: str, image: str) -> bool:
    """Whether each word of a label map's name that tells its image from others is also the image's.

    So are the space and the resolution of the image the label map's.
    """
    entities, stated = dict(_ENTITY.findall(image)), dict(_ENTITY.findall(label))
    space, own, last = _SPACE.search(label), _SPACE.search(image), image.rpartition("_")[2].lower()
    home = {"orig", "native", last}
    if space and space[1].lower() not in ({own[1].lower()} if own else home):
        return False
    if own and not space and own[1].lower() not in home:
        return False
    if any(entities.get(key) != value for key, value in stated.items()) or (
        entities.get("res") != stated.get("res")
    ):
        return False
    words = {word.lower() for word in _SEPARATOR.split(label)} & MODALITY_WORDS - {"space", "brain", "head"}
    if words and not words & {word.lower() for word in _SEPARATOR.split(image)}:
        return False
    wanted, known = told_apart(label), told_apart(image)
    sides = set(_SIDES.values())
    if not known & sides:  # the mask of one side of a whole image
        wanted -= sides
    return wanted <= known and not (known - wanted) & _MOVED


def told_apart(name: str) -> frozenset[str]:
    """What a stem says of side, phase, state, view, time, count and entity: each in one spelling.

    >>> sorted(told_apart("p1_lh_art_frame01")), sorted(told_apart("p1_seg"))
    (['arterial', 'frame1', 'left'], [])
    """
    known = _SIDES | _ALIKE
    words = {known[word] for word in map(str.lower, _SEPARATOR.split(name)) if word in known}
    counts = {f"{word.lower()}{number}" for word, number in _COUNTED.findall(name)}
    entities = {f"{key}-{value}" for key, value in _ENTITY.findall(name) if key != "part"}
    return frozenset(words | counts | entities | (times(name) - MODALITY_WORDS))


def split_last(name: str) -> tuple[str, str]:
    """The name before its last separator, and its last word."""
    parts = list(_SEPARATOR.finditer(name))
    return (name[: parts[-1].start()], name[parts[-1].end() :]) if parts else ("", name)


def split_first(name: str) -> tuple[str, bool, str]:
    """First word, whether it stands apart from the rest (by a separator or a number), and the rest."""
    parts = _SEPARATOR.split(name, maxsplit=1)
    if len(parts) > 1:
        numbered = _NUMBERED.fullmatch(parts[0])
        return (parts[0], True, parts[1]) if numbered is None else (numbered[1], False, "")
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], True, numbered[2]) if numbered else (name, True, "")


def _without_number(word: str) -> str:
    return re.sub(r"\d+$", "", word.lower())
