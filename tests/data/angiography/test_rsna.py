"""The challenge's layout, written here: labels, points as voxels, and what is refused."""

import csv

import numpy as np
import pytest
from tiny_volumes import blob, save_series

from studykit.data.angiography.rsna import (
    CASE_COLUMNS,
    LOCALIZER_COLUMNS,
    localizer_map,
    localizers_mm,
    open_rsna_aneurysm,
    to_voxels,
)
from studykit.data.angiography.sites import LABELS, SITES, label_vector, site_number
from studykit.data.check import check_source
from studykit.data.files.errors import BadVolume
from studykit.data.labelled import open_labelled
from studykit.data.sources import open_source, prepared_source
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.volumes import VolumeSettings, read_volume

SICK, HEALTHY = "1.2.3.10", "1.2.3.20"
SPACING = (0.5, 0.5, 1.0)
POINTS = {"Basilar Tip": (9, 4, 2), "Left Middle Cerebral Artery": (3, 7, 6)}
"""Place → column, row, slice of the series as it was written."""


def row(uid, *sites, modality="CTA"):
    values = dict(zip(LABELS, label_vector(*sites), strict=True))
    return {CASE_COLUMNS[0]: uid, "PatientAge": 61, "PatientSex": "F", "Modality": modality, **values}


def point(uid, place, column, line, index):
    values = (uid, f"{uid}.{index + 1}", f"{{'x': {column}, 'y': {line}}}", place)
    return dict(zip(LOCALIZER_COLUMNS, values, strict=True))


def table(path, columns, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def root(tmp_path):
    for seed, uid in enumerate((SICK, HEALTHY)):
        save_series(tmp_path / "series" / uid, blob(seed=seed), SPACING, series=uid, modality="CT")
    cases(tmp_path)
    table(
        tmp_path / "train_localizers.csv", LOCALIZER_COLUMNS, [point(SICK, k, *v) for k, v in POINTS.items()]
    )
    return tmp_path


def cases(root, *rows, columns=CASE_COLUMNS):
    table(root / "train.csv", columns, rows or (row(SICK, *POINTS), row(HEALTHY, modality="MRI T2")))


def open_here(root):
    return open_rsna_aneurysm(root, cache=root / "cache")


def test_labels_and_series_come_in_the_order_of_the_table(root):
    rsna = open_here(root)
    assert rsna.labels.shape == (2, 14)
    assert [LABELS[place] for place in np.flatnonzero(rsna.labels[0])] == [
        *sorted(POINTS, reverse=True),
        LABELS[-1],
    ]
    assert not rsna.labels[1].any() and rsna.cases[1].localizers == ()
    first = rsna.cases[0]
    assert (first.uid, first.age, first.sex, first.modality) == (SICK, 61.0, "F", "CTA")
    assert rsna.collection.ids == (SICK, HEALTHY)
    assert [subject.modality for subject in rsna.collection.subjects] == ["CT", "T2w"]
    assert [len(subject.image.parts) for subject in rsna.collection.subjects] == [10, 10]


def test_points_are_voxels_of_the_volume_as_it_is_read(root):
    rsna = open_here(root)
    case = rsna.cases[0]
    volume = read_volume(rsna.collection.subjects[0].image)
    voxels = to_voxels(localizers_mm(case), volume.affine)
    assert np.allclose(voxels, np.rint(voxels), atol=1e-4)
    written = blob(seed=0).astype(np.int16)
    for voxel, localizer in zip(np.rint(voxels).astype(int), case.localizers, strict=True):
        assert volume.array[tuple(voxel)] == written[POINTS[localizer.site]] != 0


def test_points_are_voxels_of_the_prepared_volume_too(root):
    rsna = open_here(root)
    prepared = prepare(
        rsna.collection, VolumeSettings(spacing_mm=1.0, intensity="mr-percentile", margin_mm=2)
    )
    volume = prepared.volumes[0]
    case = rsna.cases[0]
    sites = localizer_map(case, volume.array.shape, volume.affine, radius_mm=1.5)
    assert set(np.unique(sites)) == {0, *(site_number(place) for place in POINTS)}
    for localizer, mm in zip(case.localizers, localizers_mm(case), strict=True):
        places = np.argwhere(sites == site_number(localizer.site))
        centre = (volume.affine @ [*places.mean(axis=0), 1])[:3]
        assert np.linalg.norm(centre - mm) < 0.8
    assert not localizer_map(rsna.cases[1], volume.array.shape, volume.affine).any()


def test_without_the_table_of_points_there_are_labels_alone(root):
    (root / "train_localizers.csv").unlink()
    assert [case.localizers for case in open_here(root).cases] == [(), ()]


def test_a_missing_column_is_named_with_those_there_are(root):
    cases(root, columns=[name for name in CASE_COLUMNS if name != "Basilar Tip"])
    with pytest.raises(
        ValueError, match=r"train\.csv has no column 'Basilar Tip'; it has SeriesInstanceUID, Pat"
    ):
        open_here(root)


@pytest.mark.parametrize("uid", ["../secret", "1.2/../../x", "", "a.b", "1..2", "/etc", "1" * 65])
def test_what_is_no_uid_never_becomes_a_path(root, uid):
    cases(root, row(uid))
    with pytest.raises(ValueError, match=r"train\.csv, line 2: .* is no DICOM UID"):
        open_here(root)


def test_a_missing_or_empty_folder_is_named(root):
    cases(root, row(SICK), row("1.2.3.30"))
    with pytest.raises(FileNotFoundError, match=r"1\.2\.3\.30: no such folder, though train\.csv lists"):
        open_here(root)
    (root / "series" / "1.2.3.30").mkdir()
    with pytest.raises(FileNotFoundError, match=r"1\.2\.3\.30 holds no \.dcm file"):
        open_here(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Modality": "PET"}, "line 2: unknown modality 'PET'; known: CTA, MRA, MRI T2, MRI T1post"),
        ({SITES[3]: "maybe"}, f"line 2: {SITES[3]} must be 0 or 1, got 'maybe'"),
    ],
)
def test_a_bad_row_is_named(root, change, message):
    cases(root, row(SICK) | change)
    with pytest.raises(ValueError, match=message):
        open_here(root)


def test_a_series_twice_is_refused(root):
    cases(root, row(SICK), row(SICK))
    with pytest.raises(ValueError, match=rf"train\.csv: series {SICK} stands twice"):
        open_here(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": "Aorta"}, "line 2: unknown place 'Aorta'; known: Left Infra"),
        ({"coordinates": "12, 30"}, "coordinates must be like {'x': 12.5, 'y': 30.0}, got '12, 30'"),
        ({"coordinates": "__import__('os')"}, "coordinates must be like"),
        ({"SeriesInstanceUID": "9.9"}, "series '9.9' is not in train.csv"),
    ],
)
def test_a_bad_point_is_named(root, change, message):
    table(root / "train_localizers.csv", LOCALIZER_COLUMNS, [point(SICK, "Basilar Tip", 1, 1, 0) | change])
    with pytest.raises(ValueError) as caught:
        open_here(root)
    assert message in str(caught.value)


def test_a_gap_in_a_series_is_refused_when_it_is_read(root):
    sorted((root / "series" / SICK).iterdir())[4].unlink()
    with pytest.raises(BadVolume, match="slices are missing or doubled"):
        read_volume(open_here(root).collection.subjects[0].image)


def test_slices_that_do_not_belong_are_refused(root):
    folder, other = root / "series" / SICK, root / "series" / HEALTHY
    stray = folder / "zz.dcm"
    stray.write_bytes(next(other.iterdir()).read_bytes())
    with pytest.raises(BadVolume, match=rf"zz\.dcm: is of series {HEALTHY}, not of its folder's"):
        localizers_mm(open_here(root).cases[0])
    stray.unlink()
    save_series(root / "more", blob((10, 10, 2)), (0.7, 0.5, 1.0), series=SICK)
    stray.write_bytes(next((root / "more").iterdir()).read_bytes())
    with pytest.raises(BadVolume, match=r"slices of several pixel spacings: .*zz\.dcm"):
        localizers_mm(open_here(root).cases[0])


def test_a_point_on_a_slice_that_is_not_there_is_refused(root):
    table(root / "train_localizers.csv", LOCALIZER_COLUMNS, [point(SICK, "Basilar Tip", 1, 1, 77)])
    with pytest.raises(BadVolume, match=rf"has no slice {SICK}\.78, which has an aneurysm"):
        localizers_mm(open_here(root).cases[0])


# ---- by name


def test_the_layout_is_a_source_by_its_name(root):
    name = f"rsna:{root}"
    collection = open_source(name, cache=root / "cache")
    assert collection.name == name and collection.ids == (SICK, HEALTHY)
    assert [row.verdict for row in check_source(name, cache=root / "cache")] == ["ok", "ok"]
    assert len(prepared_source(name, 1.0, cache=root / "cache").volumes) == 2


def test_by_name_points_are_classes(root):
    found = open_labelled(f"rsna:{root}", 1.0, cache=root / "cache")
    assert found.classes == SITES
    sick, healthy = found.prepared.volumes
    assert set(np.unique(sick.labels)) == {0, *(1 + SITES.index(place) for place in POINTS)}
    assert not healthy.labels.any() and healthy.labels.shape == healthy.array.shape


def test_another_point_is_another_data_set(root):
    before = open_labelled(f"rsna:{root}", 1.0, cache=root / "cache").prepared.fingerprint
    points = [point(SICK, k, *v) for k, v in POINTS.items()]
    points[0]["coordinates"] = "{'x': 8, 'y': 4}"
    table(root / "train_localizers.csv", LOCALIZER_COLUMNS, points)
    assert open_labelled(f"rsna:{root}", 1.0, cache=root / "cache").prepared.fingerprint != before


def test_a_series_whose_point_lies_nowhere_is_left_out(root):
    table(root / "train_localizers.csv", LOCALIZER_COLUMNS, [point(SICK, "Basilar Tip", 1, 1, 77)])
    with pytest.warns(UserWarning, match=f"left out {SICK}: .*has no slice"):
        found = open_labelled(f"rsna:{root}", 1.0, cache=root / "cache")
    assert [volume.subject for volume in found.prepared.volumes] == [HEALTHY]
    assert [entry.subject for entry in found.prepared.refused] == [SICK]
