"""Views: tokens of one place hold the same voxels under every flip; as much is replaced as was asked."""

import pytest
import torch

from studykit.layers.patches import unpatchify
from studykit.methods.views import (
    CLEAN,
    NOISE,
    SWAPPED,
    Told,
    Views,
    cells,
    corrupt,
    cut_patches,
    draw_views,
    replaced,
)

GRID, VIEW, PATCH, BATCH, COUNT = (5, 4, 6), (3, 2, 4), 4, 3, 4


def drawn(seed=0, batch=BATCH, hidden=0.5, swapped=0.25):
    generator = torch.Generator().manual_seed(seed)
    return draw_views(GRID, VIEW, COUNT, hidden=hidden, swapped=swapped, batch=batch, generator=generator)


def crops():
    shape = (BATCH, 2, *(n * PATCH for n in GRID))
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)


def test_views_lie_inside_anywhere_and_turn_both_ways():
    views = drawn(batch=300)
    for axis in range(3):
        assert views.corners[..., axis].unique().tolist() == list(range(GRID[axis] - VIEW[axis] + 1))
        assert 0.4 < views.flips[..., axis].float().mean() < 0.6


def test_as_much_is_replaced_as_was_asked_in_groups():
    views = drawn(batch=200)
    tokens = 3 * 2 * 4
    assert (views.corruption != CLEAN).sum(2).unique().tolist() == [tokens // 2]
    assert (views.corruption == SWAPPED).sum(2).unique().tolist() == [round(0.25 * tokens / 2)]
    hidden = (views.corruption != CLEAN).view(-1, *VIEW)
    alike = (hidden[:, 0, 0, 0] == hidden[:, 1, 1, 1]).float().mean()
    assert alike > 0.75, "patches of one group are hidden together"


def test_the_seed_decides_and_views_pack_into_one_tensor():
    views = drawn()
    again = Views.unpack(views.pack(), 3 * 2 * 4)
    assert all(torch.equal(one, other) for one, other in zip(views, again, strict=True))
    assert torch.equal(drawn().pack(), views.pack()) and not torch.equal(drawn(seed=1).pack(), views.pack())


def test_a_view_is_the_crop_from_its_corner_turned():
    views, x = drawn(), crops()
    patches = cut_patches(x, views, VIEW, PATCH).unflatten(2, (2, PATCH, PATCH, PATCH))
    found = unpatchify(patches, VIEW).unflatten(0, (COUNT, BATCH))
    for v in range(COUNT):
        for b in range(BATCH):
            d, h, w = (
                slice(c * PATCH, (c + n) * PATCH) for c, n in zip(views.corners[b, v], VIEW, strict=True)
            )
            turned = [1 + axis for axis in range(3) if views.flips[b, v, axis]]
            assert torch.equal(found[v, b], x[b, :, d, h, w].flip(turned))


def test_tokens_of_one_place_hold_the_same_voxels_under_every_flip():
    views, x = drawn(), crops()
    patches = cut_patches(x, views, VIEW, PATCH).unflatten(0, (COUNT, BATCH))
    values = patches.sort(dim=3).values
    places = cells(views, VIEW, GRID)
    (others, some), total = (places[:, :2], places[:, 2:]), 5 * 4 * 6
    found, met = Told.by(values[:2], others, total).at(some)
    assert found.shape == (2, BATCH, 24, values.shape[-1])
    assert torch.equal(found[met], values[2:][met]) and found[~met].eq(0).all()
    overlap = [[len(set(v.tolist()) & set(other.flatten().tolist())) for v in own] for own, other in
               zip(some, others, strict=True)]  # fmt: skip
    assert met.sum(2).T.tolist() == overlap and 0 < met.float().mean() < 1


def test_where_several_views_meet_their_mean_is_told():
    theirs, mine = torch.tensor([[[0, 1], [1, 2]]]), torch.tensor([[[1, 2, 3]]])
    values = torch.tensor([[[[1.0], [2.0]]], [[[4.0], [8.0]]]])
    found, met = Told.by(values, theirs, 4).at(mine)
    assert found.flatten().tolist() == [3.0, 8.0, 0.0] and met.flatten().tolist() == [True, True, False]


def test_corruption_changes_what_it_names_and_nothing_else():
    views, x = drawn(), crops()
    clean = cut_patches(x, views, VIEW, PATCH)
    kinds = views.corruption.transpose(0, 1).flatten(0, 1)
    torch.manual_seed(1)  # not 0, the seed of the fixed noise
    seen, which = corrupt(clean, kinds, replaced(VIEW, 0.5, 0.25), fixed=False)
    assert torch.equal(seen[kinds == CLEAN], clean[kinds == CLEAN])
    assert torch.equal(seen[kinds == SWAPPED], clean.roll(1, 0)[kinds == SWAPPED])
    noise = seen[kinds == NOISE]
    assert noise.numel() == 12 * 9 * 128 and abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05
    hidden = torch.zeros_like(kinds, dtype=torch.bool).scatter(1, which, True)
    assert torch.equal(hidden, kinds != CLEAN)
    again = [corrupt(clean, kinds, replaced(VIEW, 0.5, 0.25), fixed=True)[0] for _ in range(2)]
    assert torch.equal(*again) and not torch.equal(again[0], seen)


def test_a_view_larger_than_the_crop_is_refused():
    generator = torch.Generator()
    with pytest.raises(ValueError, match=r"a view of \(3, 3, 3\) patches does not fit a crop of \(2, 4, 4\)"):
        draw_views((2, 4, 4), (3, 3, 3), 1, hidden=0.5, swapped=0, batch=1, generator=generator)
    with pytest.raises(ValueError, match="swapped is a share"):
        drawn(swapped=1.5)
