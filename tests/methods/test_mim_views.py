"""The three levels of MiM: each view lies where its parent was hidden, and every crop gives as many."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.patches import cut, join
from studykit.masking import upsample_mask
from studykit.methods.mim_views import (
    ThreeLevelMasks,
    enlarged_patches,
    features_at_children,
    hidden_octants,
    three_level_masks,
    three_level_views,
)

GRID, CELL, CHILDREN = (4, 4, 4), 4, 3


def masks(batch=2, seed=0, ratios=(0.5, 0.6, 0.5)):
    return three_level_masks(GRID, ratios, CHILDREN, batch, torch.Generator().manual_seed(seed))


def crops(batch=2):
    return torch.randn(batch, 2, 32, 32, 32, generator=torch.Generator().manual_seed(1))


def box(place, grid, size):
    d, h, w = place // (grid[1] * grid[2]), place // grid[2] % grid[1], place % grid[2]
    return (slice(d * size, (d + 1) * size), slice(h * size, (h + 1) * size), slice(w * size, (w + 1) * size))


def test_every_crop_has_the_same_number_of_views_and_hidden_patches():
    drawn = masks(batch=3)
    assert drawn.up.shape == (3, 4, 4, 4) and drawn.mid.shape == drawn.enlarged.shape == (3, 4, 4, 4, 4)
    assert drawn.down.shape == (3, 12, 4, 4, 4)
    counts = [m.flatten(0, -4).flatten(1).sum(1).unique().tolist() for m in drawn]
    assert counts == [[32], [38], [3], [32]]
    octants = drawn.up.unflatten(1, (2, 2)).unflatten(3, (2, 2)).unflatten(5, (2, 2))
    assert set(octants.float().mean((2, 4, 6)).unique().tolist()) == {0.0, 1.0}


def test_the_seed_decides_all_levels():
    for one, same, other in zip(masks(), masks(), masks(seed=1), strict=True):
        assert torch.equal(one, same) and not torch.equal(one, other)


def test_masks_pack_into_one_tensor_and_come_out_again():
    drawn = masks()
    packed = drawn.pack()
    assert packed.shape == (2, 1 + 4 + 4 + 12, 4, 4, 4) and packed.dtype == torch.bool
    assert all(torch.equal(a, b) for a, b in zip(ThreeLevelMasks.unpack(packed, 4), drawn, strict=True))
    rows = ThreeLevelMasks.unpack(packed[1:], 4)
    assert all(torch.equal(a, b[1:]) for a, b in zip(rows, drawn, strict=True))


def test_up_is_the_crop_shrunk_to_half():
    up = three_level_views(crops(), masks()).up
    expected = F.interpolate(crops(), size=(16, 16, 16), mode="trilinear", align_corners=False)
    torch.testing.assert_close(up, expected)


def test_mid_views_are_the_hidden_octants_at_the_crops_resolution():
    drawn, crop = masks(), crops()
    mid = three_level_views(crop, drawn).mid.unflatten(0, (2, 4))
    seen = torch.zeros_like(crop[:, :1], dtype=torch.bool)
    for b in range(2):
        for m, octant in enumerate(hidden_octants(drawn)[b].tolist()):
            place = box(octant, (2, 2, 2), 16)
            assert torch.equal(mid[b, m], crop[b][:, *place])
            seen[b, 0][place] = True
    assert torch.equal(seen, upsample_mask(drawn.up, 2 * CELL))


def test_down_views_are_hidden_patches_of_their_mid_view_enlarged():
    drawn = masks()
    views = three_level_views(crops(), drawn)
    down = views.down.unflatten(0, (8, CHILDREN))
    assert not (drawn.enlarged & ~drawn.mid).any()
    for v in range(8):
        hidden = drawn.mid.flatten(0, 1)[v].flatten()
        for z, patch in enumerate(enlarged_patches(drawn)[v].tolist()):
            assert hidden[patch] and drawn.enlarged.flatten(0, 1)[v].flatten()[patch]
            source = views.mid[v][:, *box(patch, GRID, CELL)]
            enlarged = F.interpolate(source[None], size=(16, 16, 16), mode="trilinear", align_corners=False)
            torch.testing.assert_close(down[v, z], enlarged[0])


def test_parents_features_are_read_at_the_childrens_places():
    drawn, generator = masks(), torch.Generator().manual_seed(2)
    up = torch.randn(2, 5, 4, 4, 4, generator=generator)
    mid = torch.randn(8, 5, 4, 4, 4, generator=generator)
    octants, patches = features_at_children(up, mid, drawn)
    assert octants.shape == (8, 5) and patches.shape == (8 * CHILDREN, 5)
    for b in range(2):
        for m, octant in enumerate(hidden_octants(drawn)[b].tolist()):
            expected = up[b][:, *box(octant, (2, 2, 2), 2)].mean((1, 2, 3))
            torch.testing.assert_close(octants[4 * b + m], expected)
    for v in range(8):
        for z, patch in enumerate(enlarged_patches(drawn)[v].tolist()):
            assert torch.equal(patches[CHILDREN * v + z], mid[v].flatten(1)[:, patch])


def test_geometry_of_a_voxel_followed_through_all_levels():
    """A crop whose intensity is its own coordinate: each view knows where it is from."""
    ramp = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(1, 1, 32, 32, 32)
    drawn = masks(batch=1)
    views = three_level_views(ramp, drawn)
    for m, octant in enumerate(hidden_octants(drawn)[0].tolist()):
        start = 16 * (octant // 4)
        assert views.mid[m, 0, :, 0, 0].tolist() == list(range(start, start + 16))
        for z, patch in enumerate(enlarged_patches(drawn)[m].tolist()):
            middle = start + CELL * (patch // 16) + (CELL - 1) / 2
            assert float(views.down[CHILDREN * m + z].mean()) == pytest.approx(middle)


def test_views_of_unequal_axes():
    drawn = three_level_masks((2, 4, 6), (0.25, 0.6, 0.5), 2, 1, torch.Generator().manual_seed(0))
    views = three_level_views(torch.randn(1, 1, 8, 16, 24), drawn)
    assert views.up.shape == (1, 1, 4, 8, 12)
    assert views.mid.shape == (2, 1, 4, 8, 12) and views.down.shape == (4, 1, 4, 8, 12)


def test_cutting_and_joining_undo_each_other():
    volume = torch.randn(2, 3, 4, 6, 8)
    tiles = cut(volume, (2, 3, 2))
    assert tiles.shape == (2, 12, 3, 2, 2, 4)
    assert torch.equal(tiles[:, 7], volume[:, :, 2:4, 0:2, 4:8])
    assert torch.equal(join(tiles, (2, 3, 2)), volume)


def test_grids_and_numbers_that_do_not_work_are_refused():
    draw = lambda grid, children: three_level_masks(  # noqa: E731
        grid, (0.5, 0.6, 0.5), children, 1, torch.Generator()
    )
    with pytest.raises(ValueError, match="has no octants"):
        draw((4, 3, 4), 4)
    with pytest.raises(ValueError, match="children must lie in 1 to 5"):
        draw((2, 2, 2), 6)
