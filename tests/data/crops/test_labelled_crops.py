"""Labelled crops: cut from where they say, balanced over classes, the same however a batch is shared out."""

import numpy as np
import pytest
import torch

from studykit.data.crops.labelled_crops import LabelledCrops
from studykit.data.volumes.cache import PreparedVolume


def volume(shape=(20, 22, 24), seed=0, labels=None, foreground=None, name=None) -> PreparedVolume:
    """(X, Y, Z) noise with a large class 1 and a small class 2 in opposite corners."""
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if labels is None:
        labels = np.zeros(shape, np.int16)
        labels[:8, :8, :8] = 1
        labels[-3:, -3:, -3:] = 2
    mask = np.ones(shape, bool) if foreground is None else foreground
    return PreparedVolume(name or f"s{seed}", np.asfortranarray(array), mask, labels, np.eye(4), "T1w", "")


def ramp(side=44) -> PreparedVolume:
    """Class 1 where a linear image is positive; crops around the middle do not reach the border."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij")
    image = (x + 0.7 * y - 0.4 * z).astype(np.float32)
    middle = np.zeros(image.shape, bool)
    middle[20:24, 20:24, 20:24] = True
    return PreparedVolume("ramp", image, middle, (image > 0).astype(np.int16), np.eye(4), "CT", "")


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(image: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(image, size).reshape(-1, *size)


@pytest.mark.parametrize("size", [8, 7, (6, 9, 8)])
def test_plain_crops_are_windows_of_image_and_labels_alike(size):
    volumes = [volume(seed=i) for i in range(2)]
    sides = (size,) * 3 if isinstance(size, int) else size
    batch = LabelledCrops(volumes, size, 10, classes=3, augment=False).draw(seeded())
    assert batch.shape == (10, 2, *sides) and batch.dtype == torch.float32
    images = [windows(v.array.T, sides) for v in volumes]
    labels = [windows(v.labels.T, sides) for v in volumes]
    for image, classes in batch.numpy():
        (which, place), = [(v, np.flatnonzero((w == image).all((1, 2, 3)))) for v, w in enumerate(images)
                           if (w == image).all((1, 2, 3)).any()]  # fmt: skip
        np.testing.assert_array_equal(classes, labels[which][place[0]])


def test_a_crop_is_centred_on_a_voxel_of_its_class():
    batch = LabelledCrops([volume()], 3, 200, classes=3, foreground_share=1.0, augment=False).draw(seeded())
    has = [(batch[:, 1] == label).flatten(1).any(1).float().mean() for label in (1, 2)]
    assert sum(has) == pytest.approx(1.0) and min(has) > 0.4, "classes alike, whatever their size"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_rest_is_centred_on_foreground(share):
    foreground = np.zeros((20, 22, 24), bool)
    foreground[:, 10:13, 10:13] = True
    crops = LabelledCrops(
        [volume(foreground=foreground)], 3, 400, classes=3, foreground_share=share, augment=False
    )
    labelled = (crops.draw(seeded())[:, 1] > 0).flatten(1).any(1).float().mean()
    assert float(labelled) == pytest.approx(share, abs=0.08)


def test_a_volume_with_background_alone_gives_foreground_crops():
    empty = volume(labels=np.zeros((20, 22, 24), np.uint8))
    batch = LabelledCrops([empty], 8, 4, classes=3, foreground_share=1.0).draw(seeded())
    assert not batch[:, 1].any()


def test_what_lies_beyond_a_small_volume_is_background():
    small = volume((5, 20, 6), labels=np.ones((5, 20, 6), np.int16))
    batch = LabelledCrops([small], (10, 20, 9), 2, classes=2, augment=False).draw(seeded())
    inside = batch[0, :, 2:8, :, 2:7]
    np.testing.assert_array_equal(inside[0], small.array.T)
    assert (inside[1] == 1).all()
    for crop in batch:
        assert crop[1].sum() == 5 * 20 * 6 and (crop[0][crop[1] == 0] == small.array.min()).all()


def test_unlabelled_voxels_stay_unlabelled():
    labels = np.full((20, 22, 24), -1, np.int16)
    labels[6:14, 6:14, 6:14] = 1
    made = volume(labels=labels)
    plain = LabelledCrops([made], 12, 20, classes=2, augment=False).draw(seeded())
    assert set(plain[:, 1].unique().tolist()) == {-1.0, 1.0}
    changed = LabelledCrops([made], 12, 50, classes=2).draw(seeded())
    assert set(changed[:, 1].unique().tolist()) == {-1.0, 0.0, 1.0}, "0 beyond the volume alone"


def test_labels_follow_their_image_through_every_turn(monkeypatch):
    monkeypatch.setattr("studykit.data.crops.labelled_crops.change_intensities", lambda image, change: image)
    crops = LabelledCrops([ramp()], (14, 12, 10), 100, classes=2, foreground_share=0.0, flip=True)
    batch = crops.draw(seeded())
    image, classes = batch.unbind(1)
    half_a_voxel = (1 + 0.7 + 0.4) / 43
    sure = image.abs() > half_a_voxel
    assert torch.equal((image > 0)[sure], (classes == 1)[sure])
    assert float(sure.float().mean()) > 0.7
    slopes = image.diff(dim=1).mean(dim=(1, 2, 3))
    assert slopes.min() < 0 < slopes.max() and len(slopes.abs().round(decimals=4).unique()) > 20
    plain = LabelledCrops([ramp()], (14, 12, 10), 100, classes=2, foreground_share=0.0, augment=False)
    centre = plain.draw(seeded())[:, 0].mean(dim=(1, 2, 3))
    torch.testing.assert_close(image.mean(dim=(1, 2, 3)), centre, atol=1e-4, rtol=0)


def test_augmentation_and_flips_can_be_left_out():
    made = volume()
    plain, changed, flipped = (
        LabelledCrops([made], 8, 30, classes=3, **options).draw(seeded())
        for options in ({"augment": False}, {}, {"flip": True})
    )
    same = [torch.equal(a, b) for a, b in zip(plain, changed, strict=True)]
    assert 0.05 < np.mean(same) < 0.8
    mirrored = [
        (torch.equal(a, b), any(torch.equal(a.flip(axes), b) for axes in ((1,), (2,), (3,), (1, 2, 3))))
        for a, b in zip(changed, flipped, strict=True)
    ]
    assert {(True, False), (False, True)} <= set(mirrored)


def test_rows_of_a_batch_are_the_batchs_and_the_generator_moves_alike():
    crops = LabelledCrops([volume(seed=i) for i in range(3)], 8, 12, classes=3, flip=True)
    one, parts = seeded(), seeded()
    whole = [crops.draw(one) for _ in range(2)][-1]
    crops.draw(parts, slice(0, 1))
    state = parts.get_state()
    shared = []
    for start, stop in ((0, 5), (5, 6), (6, 12)):
        parts.set_state(state)
        shared.append(crops.draw(parts, slice(start, stop)))
    assert torch.equal(torch.cat(shared), whole)
    assert torch.equal(parts.get_state(), one.get_state())
    assert not torch.equal(whole, crops.draw(seeded(1)))


def test_global_generators_are_left_alone():
    crops = LabelledCrops([volume()], 8, 20, classes=3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = crops.draw(seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert torch.equal(first, crops.draw(seeded()))


def test_a_constant_background_is_taken_over():
    foreground = np.zeros((20, 22, 24), bool)
    foreground[5:15, 5:15, 5:15] = True
    made = volume(foreground=foreground)
    crops = LabelledCrops([made], (24, 22, 20), 1, classes=3, augment=False, constant_background=True)
    image = crops.draw(seeded())[0, 0].numpy().T
    assert (image[~foreground] == made.array.min()).all()
    np.testing.assert_array_equal(image[foreground], made.array[foreground])


@pytest.mark.parametrize("value", [3, 255, -2])
def test_a_label_of_no_class_is_named_with_its_subject(value):
    labels = np.zeros((20, 22, 24), np.int16)
    labels[3, 4, 5] = value
    with pytest.raises(ValueError, match=rf"ann has the label {value}; the declared classes are 0 to 2"):
        LabelledCrops([volume(), volume(labels=labels, name="ann")], 8, 2, classes=3)


def test_what_cannot_be_is_refused():
    bare = PreparedVolume(
        "bob", np.zeros((9, 9, 9), np.float32), np.ones((9, 9, 9), bool), None, np.eye(4), "", ""
    )
    for volumes, options, words in (
        ([], {}, "at least one volume"),
        ([bare], {}, "bob has no labels"),
        ([volume()], {"classes": 1}, "background and at least one more, got 1"),
        ([volume()], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ([volume()], {"foreground_share": 1.5}, "foreground_share must lie in 0 to 1, got 1.5"),
        ([volume()], {"crop_size": (4, 4)}, "crop_size must be"),
    ):
        settings = {"crop_size": 8, "batch_size": 2, "classes": 3, **options}
        with pytest.raises(ValueError, match=words):
            LabelledCrops(volumes, **settings)
