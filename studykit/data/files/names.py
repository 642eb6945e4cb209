"""What the names of files and folders say of a subject: all but modality, session, side and channel."""

import re
from collections import defaultdict
from collections.abc import Iterable

MODALITY_WORDS = frozenset(
    "t1 t1w t1n t1c t1ce t1gd t1post t1pre t2 t2w t2f t2star t2starw flair pd pdw pdt2 ct cta cbct mr mri "
    "mra dwi adc swi pet fdg bold space stir tse mprage mp2rage hbv cor sag ax tra defaced brain head".split()
)
IMAGE_WORDS = frozenset("image images img imgs imaging volume vol scan nii nifti data orig raw".split())
FOLDER_WORDS = MODALITY_WORDS | IMAGE_WORDS | frozenset(
    "anat imagestr imagests rawdata dicom dcm nrrd mha train training val valid validation test testing "
    "scans volumes dataset unprocessed resources files mris cts pt".split()
)  # fmt: skip

_SIDES = {"left", "right", "lh", "rh", "l", "r", "ed", "es", "3d", "4d", "sa", "la", "sax", "lax"}
_STATES = frozenset(
    "native noncontrast arterial venous portal delayed art ven pv nc insp exp inspiration expiration rest "
    "stress test retest scan rescan bet n4 mni reg registered norm normalized resampled skullstripped "
    "stripped masked cropped flipped flip copy kopie phase contrast before after initial final nifti dicom "
    "pt tof water fat inphase outphase bone soft lung thin thick".split()
)
"""Phases of contrast, breath and load, what an image shows, and what was done to it."""
_VIEWS = frozenset("axial coronal sagittal transversal transverse".split())
_MEASURES = r"\d+(?:[.p]\d+)?(?:mm|t|tesla)|t[12][a-z]\w*"
"""Thickness and field strength, and what names of sequences begin with: ``5mm``, ``1.5T``, ``T1DUAL``."""
_KEY = r"(?:ses|session|visit|wave|tp|timepoint|run|acq|ce|rec|dir|echo|part|chunk|space|res|desc|mod)"
_ENTITY = rf"{_KEY}(?:-\w+|\d+)"
_CLOCK = r"(?:[T ][0-2]\d[\-:._]?[0-5]\d(?:[\-:._]?[0-5]\d)?)?"
_DATE = (
    r"(?:19|20)\d\d[01]\d[0-3]\d(?:\d{6}_\d+[a-z]*|\d{4,9})?|"
    rf"(?:19|20)\d\d[_\-.]\d\d?[_\-.]\d\d?{_CLOCK}|(?:19|20)\d\d[01]\d[0-3]\dT\d{{4,6}}|"
    r"[0-3]\d[01]\d(?:19|20)\d\d|\d\d?[_\-.]\d\d?[_\-.](?:19|20)\d\d|"
    r"(?:\d\d?[_\-.]?)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[_\-.]?(?:19|20)\d\d"
)
"""A day, with a time of day and then a number as dcm2niix writes them."""
_YEAR = r"(?<!\d)(?:19[89]|20[0-4])\d(?!\d)"
_COUNTED_TIME = rf"(?:ses|session|visit|timepoint|wave)(?:[_ ]\d+|[_\- ]?[a-z])(?![a-z\d])|{_DATE}"
_TIME = rf"{_ENTITY}|{_COUNTED_TIME}"
_STAGE = r"baseline|followup|follow-up|bl|fu\d*[a-z]?|pre|post|preop|postop"
_ALWAYS = re.compile(
    rf"[_\-. ]+({_TIME}|{'|'.join(sorted(MODALITY_WORDS | _SIDES | _STATES | _VIEWS))}|\(\d+\)|"
    rf"{_MEASURES}|(?:aug|crop|patch)[_\-]?\d*|{_STAGE})$",
    re.IGNORECASE,
)
"""Ends of a name that never tell subjects apart."""
_UNIT = r"d|days?|w|wks?|weeks?|m|mos?|months?|y|yrs?|years?"
_AFTER_NUMBER = re.compile(
    rf"[_\-. ]+((?:scan|series|study|exam|rep|repeat|frame|phase|echo|time|[tves]|{_UNIT})[_\-]?\d+|"
    rf"\d+[_\-]?(?:{_UNIT})|\d\d[01]\d[0-3]\d|[a-z]|\d{{1,2}})$",
    re.IGNORECASE,
)
"""Ends that do not where what stands before is a number already: ``p001_m12``, ``patient3_2``."""
_WHEN = re.compile(
    rf"(?:^|[_\-. ])((?:ses|session|visit|tp|timepoint)[_\- ]?\d+|(?:[tv]|{_UNIT})[_\-]?\d+|"
    rf"\d+[_\-]?(?:{_UNIT})|{_DATE}|{_STAGE})(?=[_\-. ]|$)",
    re.IGNORECASE,
)
_GLUED = re.compile(
    r"(?<=\d)(?:t1w|t1ce|t1c|t1gd|t1n|t1|t2w|t2f|t2|flair|dwi|adc|swi|pet|ct|mr)$", re.IGNORECASE
)
"""A modality right behind a number: ``S001T1``."""
_LEAD = re.compile(
    rf"({_TIME}|baseline|followup|\d(?:\.\d)?t|{'|'.join(sorted(MODALITY_WORDS | _VIEWS))})[_\-. ]+(?=.)",
    re.IGNORECASE,
)
"""A modality, a view, a session or a date in front."""
_MIDDLE = re.compile(rf"[_\-. ]+({_ENTITY}|{'|'.join(sorted(MODALITY_WORDS))})[_\-. ][^\d]*$", re.IGNORECASE)
"""A modality or a session after a number, and only words after it: ``100307_T1w_acpc_restore``."""
_GROUP = re.compile(
    r"(?:(?:train|training|val|validation|test|testing)[-_ ])?"
    r"(?:site|cent(?:er|re)|hospital|scanner|group|cohort|fold|batch|part|split|set|task|dataset)[-_ ]?\w*",
    re.IGNORECASE,
)
GROUPS = frozenset(
    "ad cn mci emci lmci smc hc nc pd ms hgg lgg gbm scz asd adhd td control controls patient patients "
    "healthy normal normals case cases diseased dementia demented nondemented benign malignant young "
    "old".split()
)
"""Folders of many subjects: places, and diagnoses."""
SEPARATOR = re.compile(r"[_\-. ]+")
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_CHANNEL = re.compile(r"_(\d{4})$")
MOST_CHANNELS = 20


def case_of(name: str) -> str:
    """A file's stem without what tells apart the images of one subject; empty where nothing else is left.

    >>> case_of("P01_ses-2_T1w"), case_of("p001_m12_flair"), case_of("scan_m12"), case_of("T1")
    ('P01', 'p001', 'scan_m12', '')
    """
    while True:
        match = _ALWAYS.search(name) or _MIDDLE.search(name) or _GLUED.search(name)
        if match and match.re is _MIDDLE and not re.search(r"\d", name[: match.start()]):
            match = None
        if match is None:
            after = _AFTER_NUMBER.search(name)
            known = after and not after[1].isdigit() and has_number(case_of(name[: after.start()]))
            match = after if known else None
        if match is None or match.start() == 0:
            return "" if name.lower() in MODALITY_WORDS | IMAGE_WORDS else name
        name = name[: match.start()]


def channel_cases(names: Iterable[str], *, certain: bool) -> dict[str, str]:
    """Stem → stem without ``_0000`` where the last four digits count channels, as in nnU-Net.

    They do where several names have a channel 0 and none has many, or where one name has the channels 0,
    1, … and it is ``certain`` that the folder is one of nnU-Net's.
    """
    channels = defaultdict(set)
    for name in names:
        if match := _CHANNEL.search(name):
            channels[name[: match.start()]].add(int(match[1]))
    first = [case for case, own in channels.items() if 0 in own]
    whole = any(sorted(channels[case]) == list(range(len(channels[case]))) for case in first)
    few = all(max(own) < MOST_CHANNELS for own in channels.values())
    if not few or (len(first) < 2 and not (certain and whole)):
        return {}
    return {f"{case}_{number:04d}": case for case, own in channels.items() for number in own}


def without_repeat(case: str) -> str:
    """A case without a last small number that may count images, ``p1`` of ``p1_2``; empty else."""
    match = _AFTER_NUMBER.search(case)
    before = case_of(case[: match.start()]) if match and match[1].isdigit() else ""
    return before if has_number(before) and not says_nothing(case) else ""


def times(name: str) -> frozenset[str]:
    """Sessions, dates and other times that a name states, in lower case and without separators.

    >>> sorted(times("P01_visit-1_T1w_seg")), sorted(times("p001_m12_flair")), sorted(times("case_12"))
    (['visit1'], ['m12'], [])
    """
    return frozenset(SEPARATOR.sub("", match[1].lower()) for match in _WHEN.finditer(name))


def without_times(path: str) -> str:
    """A path without sessions, runs and dates.

    >>> without_times("sub-01/ses-01/sub-01_run-01_T1w")
    'sub-01//sub-01_T1w'
    """
    time = rf"{_KEY}(?:-[^\W_]+|\d+)|{_COUNTED_TIME}"
    return re.sub(rf"(?:^|(?<=/)|[_\-. ])(?:{time})(?=[_\-. /]|$)", "", path, flags=re.IGNORECASE)


def without_modality(case: str) -> str:
    """A case without the modalities in its middle, ``topcow_001`` of ``topcow_ct_001``."""
    words = re.split(r"([_\-. ]+)", case)
    found = [n for n in range(2, len(words) - 2, 2) if words[n].lower() in MODALITY_WORDS]
    return "".join(word for n, word in enumerate(words) if not {n, n - 1} & set(found))


def is_year(name: str) -> bool:
    """Whether a word is a year of these decades."""
    return bool(re.fullmatch(_YEAR, name))


def may_be_own(end: str) -> bool:
    """Whether the end of a name has a number that may be a subject's own, so none of years alone."""
    return bool(re.search(r"\d", re.sub(_YEAR, "", end)))


def without_lead(case: str) -> str:
    """A case without a modality, a session or a date in front.

    >>> without_lead("T1_P01"), without_lead("2019-01-02_ses-1_P01"), without_lead("scan_01")
    ('P01', 'P01', 'scan_01')
    """
    while match := _LEAD.match(case):
        case = case[match.end() :]
    return case


def without_letter(case: str) -> str:
    """A case without a letter behind its last number, ``12`` of ``12b``; empty where there is none."""
    return case[:-1] if re.search(r"\d[a-z]$", case, re.IGNORECASE) else ""


def has_number(name: str) -> bool:
    """Whether the last word of a name has a digit and is none of a group's: it may be a subject's own."""
    return is_numbered(SEPARATOR.split(name)[-1])


def says_nothing(case: str) -> bool:
    """Whether a case has but words for images, and small numbers after them: ``T2_2``, ``flair_scan1``."""
    if _ALWAYS.fullmatch(f"_{case}"):
        return True
    words = [word.lower() for word in SEPARATOR.split(case) if word]
    known = MODALITY_WORDS | IMAGE_WORDS
    return not words or (
        words[0] in known and all(w in known or _AFTER_NUMBER.fullmatch(f"_{w}") for w in words[1:])
    )


def starts_as_image(case: str) -> bool:
    """Whether the first word is one for images, such as ``scan``, and none for a modality."""
    return SEPARATOR.split(case)[0].lower() in IMAGE_WORDS


def is_session(name: str) -> bool:
    """Whether a whole name is rather a session's or a count's than a subject's: ``v1``, ``scan2``, ``3``."""
    counted = _AFTER_NUMBER.fullmatch(f"_{name}") and not re.fullmatch(r"s[_\-]?\d+", name.lower())
    return bool(counted) or is_year(name)


def is_numbered(folder: str) -> bool:
    """Whether a folder's name has a digit and is none of a group's, such as a site's."""
    return bool(re.search(r"\d", folder)) and not is_group(folder)


def is_group(folder: str) -> bool:
    """Whether a folder's name is that of many subjects, such as a site's."""
    return bool(_GROUP.fullmatch(folder))


def is_long_number(name: str) -> bool:
    """Whether a name is rather a study's number than a subject's count: ``77001``, ``E12345``."""
    return is_uid(name) or bool(re.fullmatch(r"[A-Za-z]?\d{4,}", name))


def is_uid(name: str) -> bool:
    """Whether a name is one that DICOM gives: its numbers count nothing."""
    return bool(_UID.fullmatch(name))


def tells(folder: str) -> bool:
    """Whether a folder's name can be a subject's: no session, no date, no word for images."""
    return folder.lower() not in FOLDER_WORDS and not _ALWAYS.fullmatch(f"_{folder}")
