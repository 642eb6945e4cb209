import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny_volumes import affine, blob, save, save_series

import studykit.data.volumes.cache as cache_module
from studykit.data.files.refs import Subject, VolumeRef
from studykit.data.sources import open_source
from studykit.data.volumes.cache import prepare
from studykit.data.volumes.volumes import VolumeSettings

FINE = VolumeSettings(spacing_mm=1.0)


@pytest.fixture
def decodes(monkeypatch):
    """Paths that were decoded."""
    seen = []
    original = cache_module.read_volume
    monkeypatch.setattr(cache_module, "read_volume", lambda ref: seen.append(ref.name) or original(ref))
    return seen


@pytest.mark.parametrize(
    ("settings", "key", "fingerprint"),
    [
        (VolumeSettings(), "ba8b908cfa240ee850000e068cb62c6d", "7c7d9dc793299965"),
        (VolumeSettings(spacing_mm=3.0, crop=False), "bceef3cba8026bdf156c3a05a58a3af5", "0eddfc35fa1ce2c1"),
    ],
)
def test_keys_are_those_that_finished_runs_were_made_with(tmp_path, collect, settings, key, fingerprint):
    """As version 0.1 had them (commit d1af215): with others, runs of before would not be found again."""
    voxels = np.zeros((12, 10, 8), np.float32)
    voxels[2:10, 2:8, 2:6] = 100 + np.arange(8 * 6 * 4).reshape(8, 6, 4) % 17
    header = bytearray(352)
    header[123], header[344:348] = 2, b"n+1\0"
    for place, kind, values in (
        (0, "<i", (348,)),
        (40, "<8h", (3, 12, 10, 8, 1, 1, 1, 1)),
        (70, "<2h", (16, 32)),
        (76, "<8f", (1, 2, 2, 2, 0, 0, 0, 0)),
        (108, "<f", (352,)),
        (252, "<2h", (0, 1)),
        (280, "<12f", (2, 0, 0, -5, 0, 2, 0, -4, 0, 0, 2, 3)),
    ):
        struct.pack_into(kind, header, place, *values)
    (tmp_path / "toy.nii").write_bytes(bytes(header) + voxels.tobytes("F"))
    prepared = prepare(collect(Subject("toy", VolumeRef(tmp_path / "toy.nii"), modality="MR")), settings)
    assert prepared.volumes[0].key == key and prepared.fingerprint.startswith(fingerprint)


def test_prepared_volume_is_mapped_canonical_and_tensor_ready(tmp_path, collect):
    labels = (blob() > 90).astype(np.uint8)
    image, label = save(tmp_path / "a.nii.gz"), save(tmp_path / "a_seg.nii.gz", labels)
    subject = Subject("s1", VolumeRef(image), VolumeRef(label), "T1w")
    (volume,) = prepare(collect(subject), replace(FINE, crop=False)).volumes
    assert isinstance(volume.array, np.memmap) and not volume.array.flags.writeable
    assert volume.array.dtype == np.float32 and volume.array.flags.f_contiguous
    assert volume.array.shape == volume.foreground.shape == volume.labels.shape == blob().shape
    np.testing.assert_array_equal(volume.labels, labels)
    np.testing.assert_allclose(volume.affine, affine())
    assert np.corrcoef(volume.array.ravel(), blob().ravel())[0, 1] > 0.999


def test_second_time_nothing_is_decoded_and_all_is_equal(tmp_path, collect, decodes):
    collection = collect(save(tmp_path / "a.nii.gz"), save(tmp_path / "b.nii.gz", blob(seed=1)))
    first = prepare(collection, FINE)
    assert len(decodes) == 2
    second = prepare(collection, FINE)
    assert len(decodes) == 2
    assert first.fingerprint == second.fingerprint
    for one, two in zip(first.volumes, second.volumes, strict=True):
        np.testing.assert_array_equal(one.array, two.array)


def test_same_content_elsewhere_is_found_again(tmp_path, collect, decodes):
    first = prepare(collect(save(tmp_path / "one" / "a.nii.gz")), FINE)
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "a.nii.gz", tmp_path / "two" / "a.nii.gz")
    second = prepare(collect(tmp_path / "two" / "a.nii.gz"), FINE)
    assert len(decodes) == 1
    assert first.fingerprint == second.fingerprint


def test_changed_content_settings_or_label_is_prepared_anew(tmp_path, collect, decodes):
    path = save(tmp_path / "a.nii.gz")
    seen = {prepare(collect(path), FINE).fingerprint}
    seen.add(prepare(collect(path), replace(FINE, spacing_mm=2.0)).fingerprint)
    seen.add(prepare(collect(Subject("a", VolumeRef(path), modality="MR")), FINE).fingerprint)
    label = save(tmp_path / "label.nii.gz", (blob() > 90).astype(np.uint8))
    seen.add(prepare(collect(Subject("a", VolumeRef(path), VolumeRef(label), "MR")), FINE).fingerprint)
    save(path, blob(seed=5))
    seen.add(prepare(collect(path), FINE).fingerprint)
    assert len(seen) == len(decodes) == 5


def test_preparation_version_is_part_of_the_key(tmp_path, collect, decodes, monkeypatch):
    collection = collect(save(tmp_path / "a.nii.gz"))
    prepare(collection, FINE)
    monkeypatch.setattr(cache_module, "PREPARATION_VERSION", -1)
    prepare(collection, FINE)
    assert len(decodes) == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def grow(path):
    path.write_bytes(path.read_bytes() + b"more")


def empty(path):
    path.write_bytes(b"")


def pickled(path):
    with open(path, "wb") as file:
        np.save(file, np.array([{"x": 1}], dtype=object), allow_pickle=True)


def other(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros((3, 3, 3), np.float32))


@pytest.mark.parametrize("name", ["image.npy", "foreground.npy", "meta.json"])
@pytest.mark.parametrize("damage", [cut, grow, empty, pickled, other, os.unlink])
def test_damaged_entry_is_rebuilt(tmp_path, collect, decodes, name, damage):
    collection = collect(save(tmp_path / "a.nii.gz"))
    (before,) = prepare(collection, FINE).volumes
    expected = np.array(before.array)
    damage(tmp_path / "cache" / "volumes" / before.key / name)
    (after,) = prepare(collection, FINE).volumes
    np.testing.assert_array_equal(after.array, expected)
    assert len(decodes) == 2
    prepare(collection, FINE)
    assert len(decodes) == 2


def test_meta_that_names_another_file_is_not_followed(tmp_path, collect, decodes):
    collection = collect(save(tmp_path / "a.nii.gz"))
    (volume,) = prepare(collection, FINE).volumes
    meta = tmp_path / "cache" / "volumes" / volume.key / "meta.json"
    text = json.loads(meta.read_text(encoding="utf-8"))
    text["arrays"]["../../x"] = text["arrays"]["image"]
    meta.write_text(json.dumps(text))
    prepare(collection, FINE)
    assert len(decodes) == 2


def test_bad_volumes_are_named_and_the_others_go_on(tmp_path, collect):
    nan = blob()
    nan[0, 0, 0] = np.nan
    good, bad = save(tmp_path / "good.nii.gz"), save(tmp_path / "bad.nii.gz", nan)
    half = save(tmp_path / "half.nii.gz")
    cut(half)
    gone = tmp_path / "gone.nii.gz"
    label = save(tmp_path / "label.nii.gz", np.zeros((5, 5, 5), np.uint8))
    misfit = Subject("misfit", VolumeRef(good), VolumeRef(label))
    with pytest.warns(UserWarning) as warnings:
        prepared = prepare(collect(bad, good, half, gone, misfit), FINE)
    assert [volume.subject for volume in prepared.volumes] == ["good"]
    assert [(entry.subject, entry.path) for entry in prepared.refused] == [
        ("bad", str(bad)),
        ("half", str(half)),
        ("gone", str(gone)),
        ("misfit", str(label)),
    ]
    assert "1 NaN" in prepared.refused[0].reason and "another grid" in prepared.refused[3].reason
    assert len(warnings) == 4 and all(
        entry.path in str(warning.message) for entry, warning in zip(prepared.refused, warnings, strict=True)
    )


def test_nothing_usable_is_an_error_that_names_everything(tmp_path, collect):
    flat, thin = (
        save(tmp_path / "flat.nii", np.ones((4, 4, 4), np.float32)),
        save(tmp_path / "thin.nii", blob()[0]),
    )
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="not one of 2 volumes") as error:
        prepare(collect(flat, thin), FINE)
    assert str(flat) in str(error.value) and "constant" in str(error.value) and str(thin) in str(error.value)


def test_some_subjects_only(tmp_path, collect, decodes):
    collection = collect(save(tmp_path / "a.nii"), save(tmp_path / "b.nii", blob(seed=1)))
    prepared = prepare(collection, FINE, subjects=["b"])
    assert [volume.subject for volume in prepared.volumes] == ["b"] and len(decodes) == 1
    with pytest.raises(ValueError, match="no subject 'c'; known: a, b"):
        prepare(collection, FINE, subjects=["a", "c"])
    assert [v.subject for v in prepare(collection, FINE).select(["b"])] == ["b"]


def test_detached_data_is_part_of_the_content(tmp_path, collect, decodes):
    import SimpleITK as sitk
    from tiny_volumes import itk_image

    path = tmp_path / "a.mhd"
    sitk.WriteImage(itk_image(blob(), affine()), str(path))
    prepare(collect(path), FINE)
    sitk.WriteImage(itk_image(blob(seed=3), affine()), str(path))
    prepare(collect(path), FINE)
    assert len(decodes) == 2


def test_folder_source_end_to_end_with_a_dicom_series(tmp_path):
    save(tmp_path / "data" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    save_series(tmp_path / "data" / "sub-02", blob())
    collection = open_source(f"folder:{tmp_path / 'data'}", cache=tmp_path / "cache")
    prepared = prepare(collection, FINE)
    assert [volume.subject for volume in prepared.volumes] == ["sub-01", "sub-02"]


def test_killed_preparation_leaves_nothing_that_is_read(tmp_path, collect):
    path = save(tmp_path / "a.nii.gz")
    program = f"""
import os, signal
from pathlib import Path
import studykit.data.volumes.cache as c
from studykit.data.files.refs import Subject, VolumeRef
from studykit.data.sources import Collection
from studykit.data.volumes.volumes import VolumeSettings
write, calls = c.atomic.replace_into, []
def killing(path):
    calls.extend([path] * (path.suffix == ".npy"))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path)
c.atomic.replace_into = killing
subject = Subject("a", VolumeRef(Path({str(path)!r})))
c.prepare(Collection("test", (subject,), "", "", Path({str(tmp_path / "cache")!r})), VolumeSettings(1.0))
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert list((tmp_path / "cache" / "volumes").glob("*/image.npy")), "it was killed half-way"
    killed = prepare(collect(path), FINE)
    whole = prepare(replace(collect(path), cache=tmp_path / "other"), FINE)
    assert killed.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(killed.volumes[0].foreground, whole.volumes[0].foreground)


def test_a_cache_that_cannot_be_written_is_named_and_no_volume(tmp_path, collect):
    path = save(tmp_path / "a.nii.gz")
    (tmp_path / "file").write_text("no folder")
    collection = replace(collect(path), cache=tmp_path / "file")
    with pytest.raises(OSError, match=r"the cache .*file cannot be written \(.*or set STUDYKIT_DATA"):
        prepare(collection, FINE)


def test_a_volume_replaced_under_its_old_time_is_prepared_anew(tmp_path, collect):
    path = save(tmp_path / "a.nii")
    os.utime(path, (1e9, 1e9))
    first = prepare(collect(path), FINE).fingerprint
    other = save(tmp_path / "b.nii", blob()[::-1].copy())
    os.utime(other, (1e9, 1e9))
    assert other.stat().st_size == path.stat().st_size
    os.replace(other, path)
    assert prepare(collect(path), FINE).fingerprint != first


def test_labels_are_kept_apart_by_how_they_are_resampled(tmp_path, collect, monkeypatch):
    image, labels = save(tmp_path / "a.nii"), save(tmp_path / "l.nii", (blob() > 110).astype(np.int16))
    collection = collect(Subject("a", VolumeRef(image), VolumeRef(labels)))
    (before,) = prepare(collection, FINE).volumes
    count = len(list((tmp_path / "cache" / "volumes").glob("*/")))
    monkeypatch.setattr("studykit.data.volumes.cache.LABELS_VERSION", 99)
    (after,) = prepare(collection, FINE).volumes
    assert after.key == before.key, "what is learnt from images alone stays what it was"
    assert len(list((tmp_path / "cache" / "volumes").glob("*/"))) == count + 1
