"""For any affine, type of numbers and layout: a marker lies where nibabel puts it, and nobody is split."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_volumes import itk_image

from studykit.data.files.folder import read_folder
from studykit.data.files.names import channel_cases
from studykit.data.files.people import name_subjects
from studykit.data.files.refs import VolumeRef
from studykit.data.files.told import read_told
from studykit.data.files.walk import stem
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import VolumeSettings, prepare_arrays, read_volume

hypothesis = pytest.importorskip("hypothesis", reason="the property tests need hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

SHAPE = (17, 14, 12)
FOUND = settings(max_examples=40, deadline=None, database=None, derandomize=True)

sizes = st.floats(0.6, 3.0)
angles = st.floats(-180, 180)
places = st.tuples(*(st.integers(4, side - 5) for side in SHAPE))
numbers = st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])


@st.composite
def affines(draw):
    """Rotations by any angles with mirrored axes, voxels of any size, an origin anywhere."""
    turn = np.eye(3)
    for axis, angle in enumerate(draw(st.tuples(angles, angles, angles))):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        i, j = [(1, 2), (0, 2), (0, 1)][axis]
        part = np.eye(3)
        part[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
        turn = turn @ part
    mirror = np.diag([draw(st.sampled_from([-1, 1])) for _ in range(3)])
    size = np.diag([draw(sizes) for _ in range(3)])
    origin = [draw(st.floats(-200, 200)) for _ in range(3)]
    return nib.affines.from_matvec(turn @ mirror @ size, origin)


def marked(place, dtype):
    """A head with one bright spot, and a label map of that spot; where the spot is."""
    image = np.random.default_rng(0).integers(40, 60, SHAPE)
    image[:2] = image[:, :2] = 0
    spot = tuple(slice(p - 1, p + 2) for p in place)
    image[spot] = 120
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels[spot] = 5
    return image.astype(dtype), labels


@FOUND
@given(affines(), numbers, places, st.sampled_from([".nii", ".nii.gz", ".mgz", ".mha", ".nrrd"]))
def test_a_marker_lies_where_nibabel_puts_it(tmp_path_factory, matrix, dtype, place, suffix):
    folder = tmp_path_factory.mktemp("any")
    if suffix == ".mgz":
        dtype = {"uint8": "uint8", "int16": "int16", "int32": "int32"}.get(dtype, "float32")
    image, labels = marked(place, dtype)
    for name, array in {"image": image, "labels": labels}.items():
        if suffix in (".mha", ".nrrd"):
            import SimpleITK as sitk

            sitk.WriteImage(itk_image(array, matrix), str(folder / f"{name}{suffix}"))
        else:
            kind = nib.MGHImage if suffix == ".mgz" else nib.Nifti1Image
            nib.save(kind(array, matrix), folder / f"{name}{suffix}")
    truth = nib.affines.apply_affine(matrix, place)
    volume = read_volume(VolumeRef(folder / f"image{suffix}"))
    found = read_labels(VolumeRef(folder / f"labels{suffix}"), volume)
    for array, least in ((volume.array, 100), (found, 1)):
        centre = np.argwhere(array >= least).mean(axis=0)
        assert nib.affines.apply_affine(volume.affine, centre) == pytest.approx(truth, abs=1e-2)
    assert np.all(np.diag(volume.affine) > 0), "the axes are the nearest ones"


@FOUND
@given(affines(), places, st.floats(0.7, 2.5))
def test_image_and_labels_stay_together_at_any_spacing(tmp_path_factory, matrix, place, target):
    folder = tmp_path_factory.mktemp("any")
    image, labels = marked(place, "int16")
    labels[tuple(slice(p - 3, p + 4) for p in place)] = 5
    for name, array in {"image": image, "labels": labels}.items():
        nib.save(nib.Nifti1Image(array, matrix), folder / f"{name}.nii")
    volume = read_volume(VolumeRef(folder / "image.nii"))
    prepared = prepare_arrays(
        volume,
        read_labels(VolumeRef(folder / "labels.nii"), volume),
        "T1w",
        VolumeSettings(target, crop=False),
    )
    centre = np.argwhere(prepared.labels == 5).mean(axis=0)
    truth = nib.affines.apply_affine(matrix, place)
    away = np.linalg.inv(prepared.affine[:3, :3]) @ (
        nib.affines.apply_affine(prepared.affine, centre) - truth
    )
    assert np.abs(away).max() <= 0.51, "half a voxel at the most, where a border lies in a voxel's middle"


PEOPLE = (
    "P{:02d}", "p{}", "sub{}", "patient_{:03d}", "{:05d}", "anna{}", "S{}", "UKB{:07d}", "case_{}",
    "OAS1_{:04d}", "subj-{}", "X{:02d}Y",
)  # fmt: skip
SESSIONS = (
    "ses-{}", "ses{}", "session_{}", "visit{}", "v{}", "tp{}", "scan{}", "run-{}", "2019010{}", "m{:02d}",
    "exam{}", "{}", "week{}", "{}months", "2019-01-0{}", "0{}.02.2019",
)  # fmt: skip
LAYOUTS = (
    "{p}_{m}", "{p}_{s}_{m}", "{p}-{s}", "{p}/{s}/{m}", "{p}/{p}_{s}_{m}", "{s}/{p}", "{m}/{p}",
    "{m}/{p}_{s}", "{p}/{m}_{s}", "data/{p}/{s}/anat/{m}", "train/{p}_{s}", "{p}/{s}", "{p}/{p}-{m}",
    "{s}/{p}/{m}", "{p}/{s}_{m}", "{m}/{s}/{p}", "{m}_{p}", "{m}_{p}_{s}", "{p}_{m}_{s}",
)  # fmt: skip
MODALITIES = ("T1w", "t1", "flair", "T2", "ct", "mprage", "t1ce")


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(LAYOUTS),
    st.sampled_from(PEOPLE),
    st.sampled_from(SESSIONS),
    st.integers(2, 12),
    st.integers(2, 3),
    st.sets(st.sampled_from(MODALITIES), min_size=2, max_size=3),
)
def test_no_subject_is_split_and_no_two_are_one(layout, person, session, people, sessions, modalities):
    owners = {}
    for number in range(1, people + 1):
        for visit in range(1, sessions + 1 - number % 2):
            for modality in modalities:
                name = layout.format(p=person.format(number), s=session.format(visit), m=modality)
                owners.setdefault(Path(f"{name}.nii.gz"), number)
    paths = sorted(owners)
    channels = channel_cases([stem(path) for path in paths], certain=False)
    ids = name_subjects([(p, channels.get(stem(p), stem(p))) for p in paths], read_told(Path("nowhere")))
    together = {}
    for path, number in owners.items():
        together.setdefault(number, set()).add(ids[path])
    assert all(len(own) == 1 for own in together.values()), (ids, owners)
    assert len(set(ids.values())) == people, ids


CROSSED = ("{p}_{e}", "{p}/{e}", "{p}_{e}/{m}", "{p}/{p}_{e}", "{p}-{e}_{m}", "{e}/{p}_{m}", "{p}.{e}")
words = st.from_regex(r"[b-df-hj-np-rtv-z]{4,8}", fullmatch=True)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(CROSSED),
    st.sampled_from(PEOPLE),
    st.lists(words, min_size=2, max_size=3, unique=True),
    st.integers(2, 8),
    st.booleans(),
)
def test_words_that_nobody_knows_split_no_subject(layout, person, ends, people, gaps):
    owners = {}
    for number in range(1, people + 1):
        for end in ends[: 1 + number % 2] if gaps else ends:
            owners[Path(f"{layout.format(p=person.format(number), e=end, m='t1')}.nii")] = number
    ids = name_subjects([(path, stem(path)) for path in owners], read_told(Path("nowhere")))
    found = {(number, ids[path]) for path, number in owners.items()}
    assert len(found) == len(set(ids.values())) == people, ids


anything = st.from_regex(r"[A-Za-z]{3,9}([ _-]?[0-9]{1,3})?([ _][A-Za-z]{3,9})?", fullmatch=True)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(("P{:02d}", "patient_{:03d}", "1{:05d}", "OAS1_{:04d}", "X{:02d}Y")),
    st.lists(st.lists(anything, max_size=4, unique_by=str.casefold), min_size=2, max_size=6),
    st.sampled_from(("{p}/{m}", "{p}/anat/{m}", "data/{p}/{m}")),
)
def test_a_file_of_any_name_in_a_subjects_folder_is_the_subjects(person, further, layout):
    owners = {}
    for number, names in enumerate(further, 1):
        for name in ("t1", "flair", *names):
            owners[Path(f"{layout.format(p=person.format(number), m=name)}.nii")] = number
    ids = name_subjects([(path, stem(path)) for path in owners], read_told(Path("nowhere")))
    assert len({(number, ids[path]) for path, number in owners.items()}) == len(further), ids


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
            lambda name: not name.startswith(".")
        ),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_any_name_is_found_or_said(tmp_path_factory, names):
    from studykit.data.files.folder import survey

    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / f"{name}.nii").write_bytes(b"x")
    (folder / "image.mha").write_bytes(b"x")
    found = survey(folder)
    labels = [subject for subject in found.subjects if subject.labels is not None]
    assert len(found.subjects) + len(labels) + len(found.unused) == len(set(folder.iterdir()))
    assert read_folder(folder)
