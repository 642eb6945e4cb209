import math
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch

from studykit.data.crops.random_crops import RandomCrops, fixed_crops
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import volume_tensor
from studykit.training.graphs import replayed

STILL = {"flip": False, "rotate_degrees": 0.0, "scale": (1.0, 1.0)}


def volume(shape=(20, 22, 24), seed=0, array=None, labels=None, foreground=None) -> PreparedVolume:
    """A prepared volume of (X, Y, Z) noise."""
    if array is None:
        array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    mask = np.ones(array.shape, bool) if foreground is None else foreground
    return PreparedVolume(f"s{seed}", np.asfortranarray(array), mask, labels, np.eye(4), "T1w", "")


def smooth(shape=(26, 28, 30)) -> np.ndarray:
    """(X, Y, Z) quadratic: curved, so that a wrong position shows."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return (3 * x + 5 * y**2 - 2 * z + x * z).astype(np.float32)


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(image: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """Every window of a (D, H, W) array."""
    return np.lib.stride_tricks.sliding_window_view(image, size).reshape(-1, *size)


def is_a_window(crop: torch.Tensor, image: np.ndarray, tolerance=1e-5) -> bool:
    view = windows(image, tuple(crop.shape))
    return bool((np.abs(view - crop.numpy()).reshape(len(view), -1).max(1) < tolerance).any())


@pytest.mark.parametrize("size", [8, 7, (6, 9, 8)])
def test_fixed_crops_are_slices_of_their_volumes(size):
    volumes = [volume(seed=i) for i in range(3)]
    crops = fixed_crops(volumes, size, 2, seeded())
    sides = (size,) * 3 if isinstance(size, int) else size
    assert crops.shape == (6, 1, *sides) and crops.dtype == torch.float32
    for index, crop in enumerate(crops):
        assert is_a_window(crop[0], volumes[index // 2].array.T, tolerance=1e-12)
    assert torch.equal(crops, fixed_crops(volumes, size, 2, seeded()))
    assert not torch.equal(crops, fixed_crops(volumes, size, 2, seeded(1)))


def test_small_volumes_are_centred_on_their_background():
    array = np.random.default_rng(0).normal(size=(6, 20, 7)).astype(np.float32)
    (crop,) = fixed_crops([volume(array=array)], 10, 1, seeded())
    assert is_a_window(crop[0, 2:9, :, 2:8], array.T, tolerance=1e-12)
    outside = torch.ones(10, 10, 10, dtype=torch.bool)
    outside[2:9, :, 2:8] = False
    assert (crop[0][outside] == array.min()).all()


def test_random_crops_without_change_are_slices():
    volumes = [volume(seed=i) for i in range(3)]
    for size in (8, 7, (6, 9, 8)):
        batch = RandomCrops(volumes, size, 12, **STILL).draw(seeded())
        for crop in batch[:, 0]:
            assert any(is_a_window(crop, v.array.T) for v in volumes)


def test_random_crops_of_small_volumes_equal_the_fixed_ones():
    small = volume(shape=(6, 20, 7))
    batch = RandomCrops([small], (10, 20, 10), 4, **STILL).draw(seeded())
    expected = fixed_crops([small], (10, 20, 10), 1, seeded())
    torch.testing.assert_close(batch, expected.expand(4, -1, -1, -1, -1), atol=1e-5, rtol=0)


def ball_in_noise(radius=9.0, shape=(40, 40, 40)) -> PreparedVolume:
    """Noise everywhere, a ball as foreground; the smallest value lies inside it."""
    array = np.random.default_rng(0).uniform(-1, 1, size=shape).astype(np.float32)
    place = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij"))
    array[20, 20, 20] = -1.5
    return volume(array=array, foreground=(place**2).sum(0) < radius**2)


def test_constant_background_is_the_minimum_outside_and_the_volume_inside():
    ball = ball_in_noise()
    before = ball.array.copy()
    plain, constant = volume_tensor(ball), volume_tensor(ball, constant_background=True)
    inside = torch.from_numpy(ball.foreground.T.copy())[None]
    assert torch.equal(constant[inside], plain[inside])
    assert (constant[~inside] == -1.5).all() and (plain[~inside] > -1.5).all()
    assert (constant[:, :10, :10, :10] == -1.5).all(), "a corner of the volume is constant"
    np.testing.assert_array_equal(ball.array, before)
    np.testing.assert_array_equal(plain[0].numpy(), ball.array.T)


def test_crops_with_a_constant_background_are_those_of_such_a_volume():
    ball = ball_in_noise()
    masked = np.where(ball.foreground, ball.array, ball.array.min())
    made = volume(array=masked, foreground=ball.foreground)
    fixed = fixed_crops([ball], 24, 3, seeded(), constant_background=True)
    assert torch.equal(fixed, fixed_crops([made], 24, 3, seeded()))
    random = RandomCrops([ball], 24, 6, constant_background=True).draw(seeded())
    assert torch.equal(random, RandomCrops([made], 24, 6).draw(seeded()))
    assert not torch.equal(random, RandomCrops([ball], 24, 6).draw(seeded()))


def test_warped_crops_keep_the_background_constant_away_from_the_border():
    """Shares of foreground around each sampled place say which crop voxels the foreground reaches."""
    ball = ball_in_noise()
    near = volume(array=ball.foreground.astype(np.float32), foreground=ball.foreground)
    options = {"rotate_degrees": 25, "scale": (0.8, 1.2)}
    crops = RandomCrops([ball], 26, 8, constant_background=True, **options).draw(seeded())
    reached = RandomCrops([near], 26, 8, **options).draw(seeded()) > 0
    assert 0.2 < (~reached).float().mean() < 0.9
    assert (crops[~reached] + 1.5).abs().max() < 1e-6
    assert (crops[reached] > -1.49).float().mean() > 0.9


def test_all_volumes_mirrors_and_foreground_places_are_drawn():
    array = np.zeros((30, 30, 30), np.float32)
    array[0:9, 0:9, 0:9] = np.random.default_rng(0).normal(size=(9, 9, 9))
    mask = np.zeros(array.shape, bool)
    mask[4, 4, 4] = True
    crops = RandomCrops([volume(array=array, foreground=mask)], 9, 64, rotate_degrees=0, scale=(1, 1)).draw(
        seeded()
    )
    base = torch.from_numpy(array[:9, :9, :9].T.copy())
    seen = set()
    for crop in crops[:, 0]:
        for code in range(8):
            axes = [axis for axis in range(3) if code >> axis & 1]
            if torch.allclose(crop, base.flip(axes), atol=1e-5):
                seen.add(code)
                break
        else:
            raise AssertionError("a crop is no mirror image of the foreground's surroundings")
    assert seen == set(range(8))
    many = [volume(array=np.full((9, 9, 9), i, np.float32), seed=i) for i in range(5)]
    values = RandomCrops(many, 9, 100).draw(seeded())[:, 0, 4, 4, 4]
    assert values.round().unique().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [9, 8, (7, 10, 8)])
def test_warp_is_trilinear_sampling_at_the_turned_positions(size):
    """Against a plain loop: position = centre + scale * turn(mirror(offset)), one trilinear lookup each."""
    array = smooth()
    crops = RandomCrops([volume(array=array)], size, 12, rotate_degrees=25, scale=(0.8, 1.2))
    batch = crops.draw(seeded())
    draws = torch.rand(12, 8, generator=seeded(), dtype=torch.float64).tolist()
    axes = set()
    for crop, row in zip(batch[:, 0], draws, strict=True):
        warp = crops._warp(row)
        axes.add(warp.axis)
        across = [axis for axis in range(3) if axis != warp.axis]
        offsets = torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in crops.crop_size], indexing="ij")
        offsets = torch.stack([o * s for o, s in zip(offsets, warp.signs, strict=True)]).double()
        turned = offsets.clone()
        cosine, sine = math.cos(warp.angle), math.sin(warp.angle)
        turned[across[0]] = cosine * offsets[across[0]] - sine * offsets[across[1]]
        turned[across[1]] = sine * offsets[across[0]] + cosine * offsets[across[1]]
        place = torch.tensor(warp.centre)[:, None, None, None] + warp.scale * turned
        torch.testing.assert_close(crop.double(), trilinear(array.T, place), atol=2e-4, rtol=0)
    assert axes == {0, 1, 2}


def trilinear(image: np.ndarray, place: torch.Tensor) -> torch.Tensor:
    """Values of a (D, H, W) image at positions (3, …); the image's minimum outside."""
    padded = torch.from_numpy(np.pad(image, 30, constant_values=image.min()).astype(np.float64))
    place = place + 30
    low = place.floor().long()
    share = place - low
    total = torch.zeros(place.shape[1:], dtype=torch.float64)
    for corner in range(8):
        bits = torch.tensor([corner >> axis & 1 for axis in range(3)])[:, None, None, None]
        weight = torch.where(bits == 1, share, 1 - share).prod(0)
        total += weight * padded[tuple(low + bits)]
    return total


def test_same_generator_state_gives_the_same_batch_and_state():
    crops = RandomCrops([volume(seed=i) for i in range(3)], 8, 5)
    generator = seeded()
    crops.draw(generator)
    state = generator.get_state()
    first = crops.draw(generator)
    after = generator.get_state()
    generator.set_state(state)
    assert torch.equal(crops.draw(generator), first)
    assert torch.equal(generator.get_state(), after)
    assert not torch.equal(crops.draw(generator), first)


@pytest.mark.parametrize("bounds", [(0, 2, 4, 6), (0, 1, 5, 6)])
def test_rows_are_parts_of_the_global_batch(bounds):
    crops = RandomCrops([volume(seed=i) for i in range(3)], (8, 7, 6), 6)
    whole_generator = seeded()
    whole = crops.draw(whole_generator)
    for start, stop in pairwise(bounds):
        generator = seeded()
        assert torch.equal(crops.draw(generator, rows=slice(start, stop)), whole[start:stop])
        assert torch.equal(generator.get_state(), whole_generator.get_state())


@pytest.mark.parametrize("size", [8, (8, 7, 6), 40], ids=["cubes", "three sizes", "larger than the volume"])
def test_a_batch_cut_at_once_as_on_a_gpu_has_the_same_crops(monkeypatch, size):
    volumes = [volume(seed=i) for i in range(3)]
    companions = [torch.rand(v.array.T.shape) for v in volumes]
    alone = RandomCrops(volumes, size, 9, companions=companions).draw(seeded())
    monkeypatch.setattr(RandomCrops, "_at_once", True)
    at_once = RandomCrops(volumes, size, 9, companions=companions)
    torch.testing.assert_close(at_once.draw(seeded()), alone, atol=1e-4, rtol=0)
    part = at_once.draw(seeded(), rows=slice(2, 5))
    torch.testing.assert_close(part, alone[2:5], atol=1e-4, rtol=0)


def test_the_way_from_numbers_to_crops_is_captured_once_and_replayed(monkeypatch):
    """With a tape in place of a card's graph: nothing in it reads a value, and new numbers give new crops."""
    from tape import TapeGraphs

    volumes, graphs = [volume(seed=i) for i in range(3)], TapeGraphs()
    alone, generator = RandomCrops(volumes, 8, 4), seeded()
    expected = [alone.draw(generator) for _ in range(3)]
    monkeypatch.setattr(RandomCrops, "_at_once", True)
    monkeypatch.setattr("studykit.training.graphs.graphs_of", lambda device: graphs)
    at_once, generator = RandomCrops(volumes, 8, 4, captured=replayed), seeded()
    found = [at_once.draw(generator) for _ in range(3)]
    assert graphs.captures == 1
    for crops, own in zip(found, expected, strict=True):
        torch.testing.assert_close(crops, own, atol=1e-4, rtol=0)
    freed = weakref.ref(at_once)
    del at_once
    assert freed() is None, "a graph keeps its memory no longer than its crops"


@pytest.mark.gpu
def test_draws_on_a_gpu_are_those_of_the_cpu_and_never_wait():
    volumes = [volume(seed=i) for i in range(3)]
    there = RandomCrops(volumes, 8, 9, "cuda", captured=replayed)
    there.draw(seeded())
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = there.draw(seeded())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(batch.cpu(), RandomCrops(volumes, 8, 9).draw(seeded()), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"volumes": []}, "at least one volume"),
        ({"crop_size": 0}, "crop_size"),
        ({"crop_size": (8, 8)}, "crop_size"),
        ({"crop_size": 8.5}, "crop_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"scale": (1.1, 0.9)}, "scale"),
        ({"scale": (0, 1)}, "scale"),
        ({"rotate_degrees": -1}, "rotate_degrees"),
    ],
)
def test_settings_are_checked(wrong, match):
    with pytest.raises(ValueError, match=match):
        RandomCrops(**{"volumes": [volume()], "crop_size": 8, "batch_size": 2, **wrong})


def test_companions_are_cut_and_warped_with_their_volumes():
    ball = ball_in_noise()
    image = volume_tensor(ball)[0]
    companion = 2.0 * image + 3.0
    crops = RandomCrops([ball], 16, 6, companions=[companion]).draw(seeded())
    alone = RandomCrops([ball], 16, 6).draw(seeded())
    assert crops.shape == (6, 2, 16, 16, 16) and torch.equal(crops[:, :1], alone)
    torch.testing.assert_close(crops[:, 1], 2.0 * crops[:, 0] + 3.0)
    with pytest.raises(ValueError, match="sizes of their volumes"):
        RandomCrops([ball], 16, 6, companions=[companion[1:]])
