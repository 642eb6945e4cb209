"""Detection batches: half positive, sites on the right side, the generator and its rows."""

import numpy as np
import pytest
import torch

from studykit.data.angiography.sites import site_number
from studykit.data.crops.detection_crops import DetectionCrops, detection_volume
from studykit.data.volumes.cache import PreparedVolume

LEFT, RIGHT = (site_number(f"{side} Middle Cerebral Artery") for side in ("Left", "Right"))


def field(site, seed, size=12):
    """Noise with a marked aneurysm voxel: bright, on the left (small w) where the site is LEFT."""
    volume = torch.zeros(2, size, size, size)
    volume[0] = 0.1 * torch.randn(size, size, size, generator=torch.Generator().manual_seed(seed))
    if site:
        w = 3 if site == LEFT else size - 4
        volume[0, 6, 6, w], volume[1, 6, 6, w] = 100.0, site
    return volume


@pytest.fixture
def crops():
    return DetectionCrops([field(site, k) for k, site in enumerate((0, LEFT, 0, RIGHT, 0))], 4, shift=2)


def test_half_of_a_batch_is_positive_with_the_image_beneath(crops):
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        batch = crops.draw(generator)
        assert batch.shape == (4, 2, 12, 12, 12) and batch.dtype == torch.float32
        assert [bool(row[1].any()) for row in batch] == [True, False, True, False]
        for row in batch[::2]:
            place = row[1].argmax()
            assert row[0].argmax() == place and row[0].flatten()[place] == pytest.approx(100, rel=0.15)


def test_a_mirrored_volume_has_its_site_on_the_other_side(crops):
    generator, seen = torch.Generator().manual_seed(1), set()
    for _ in range(20):
        for row in crops.draw(generator)[::2]:
            w = int(np.unravel_index(int(row[1].argmax()), (12, 12, 12))[2])
            assert row[1].max() == (LEFT if w < 6 else RIGHT)
            seen.add(w)
    assert len(seen) > 4, "shifts move it too"


def test_without_mirror_or_shift_volumes_stay_where_they_are():
    crops = DetectionCrops([field(0, 0), field(LEFT, 1)], 2, shift=0, mirror=False)
    batch = crops.draw(torch.Generator().manual_seed(0))
    assert torch.equal(batch[0, 1], field(LEFT, 1)[1])
    assert torch.corrcoef(torch.stack([batch[1, 0].flatten(), field(0, 0)[0].flatten()]))[0, 1] > 0.9999


def test_what_is_shifted_in_holds_no_aneurysm():
    volume = field(0, 0)
    volume[1, 0, :, :] = LEFT
    crops = DetectionCrops([volume, field(0, 1)], 2, shift=3, mirror=False)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert crops.draw(generator)[0, 1].any(dim=(1)).any(dim=1).sum() <= 1


def test_rows_are_of_one_batch_and_seeds_matter(crops):
    def draw(seed, rows=slice(None)):
        return crops.draw(torch.Generator().manual_seed(seed), rows)

    assert torch.equal(torch.cat([draw(5, slice(0, 2)), draw(5, slice(2, 4))]), draw(5))
    assert not torch.equal(draw(5), draw(6))
    one, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    crops.draw(one, slice(0, 1)), crops.draw(other)
    assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.parametrize(
    ("volumes", "batch", "message"),
    [
        ([field(0, 0), field(LEFT, 1)], 3, "batch_size must be even, got 3"),
        ([field(0, 0), field(0, 1)], 2, "with and without an aneurysm, got 0 and 2"),
        ([field(0, 0), field(LEFT, 1, size=14)], 2, "of one size, got"),
    ],
)
def test_bad_input_is_refused(volumes, batch, message):
    with pytest.raises(ValueError, match=message):
        DetectionCrops(volumes, batch)


def test_a_prepared_volume_with_its_site():
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    labels = np.zeros(array.shape, dtype=np.int16)
    labels[0, 1, 2], labels[3, 4, 5] = 2, 1
    volume = PreparedVolume("s", array, array > -9, labels, np.eye(4), "MR", "k")
    both = detection_volume(volume, 2, RIGHT)
    assert both.shape == (2, 6, 5, 4) and both[0, 2, 1, 0] == array[0, 1, 2]
    assert both[1].sum() == RIGHT == both[1, 2, 1, 0]
    with pytest.raises(ValueError, match="s has an aneurysm in its labels, but no site"):
        detection_volume(volume, 2, 0)
