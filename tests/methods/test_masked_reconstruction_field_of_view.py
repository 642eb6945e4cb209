"""Masks that spare the field of view: which patches are shown in training, and what they leave alone."""

import pytest
import torch

from studykit.masking import inside_field_of_view, random_patch_mask
from studykit.methods import build_method

SIZES = {
    "mae": {
        "embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_dim": 48,
        "decoder_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2, "decoder_mlp_dim": 24,
    },
    "bertswin": {
        "embed_dim": 48, "depth": 1, "num_heads": 2, "window_size": 2, "decoder_widths": (16, 8, 4),
    },
}  # fmt: skip
PATCHES, VISIBLE = 64, 16


@pytest.fixture(params=sorted(SIZES))
def build(request):
    return lambda **options: build_method(
        request.param, img_size=16, patch_size=4, **SIZES[request.param], **options
    )


def volumes(*planes):
    """A volume for each number of voxel planes along D that lie inside; the rest is constant."""
    every = torch.full((len(planes), 1, 16, 16, 16), -3.0)
    generator = torch.Generator().manual_seed(0)
    for volume, inside in zip(every, planes, strict=True):
        volume[0, :inside] = torch.rand(inside, 16, 16, generator=generator)
    return every


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def test_what_is_shown_lies_inside_while_there_is_enough(build):
    method, x = build(fov_aware=True), volumes(16, 12, 8, 4)
    shown = ~method.draw_masks(4, generator(), x)
    inside = inside_field_of_view(x, 4)
    assert inside.flatten(1).sum(1).tolist() == [64, 48, 32, 16]
    assert not (shown & ~inside).any()
    assert torch.equal(shown[3], inside[3]), "just enough"


def test_where_there_is_too_little_all_of_it_is_shown_and_others_fill_up(build):
    method, x = build(fov_aware=True, mask_ratio=0.5), volumes(4, 0)
    shown = ~method.draw_masks(2, generator(), x)
    assert shown[0, 0].all() and shown.flatten(1).sum(1).tolist() == [32, 32]


def test_as_many_are_hidden_as_ever(build):
    method = build(fov_aware=True)
    masks = method.draw_masks(5, generator(), volumes(16, 12, 8, 3, 0))
    assert masks.flatten(1).sum(1).tolist() == [PATCHES - VISIBLE] * 5
    assert method.num_visible == VISIBLE
    assert method(volumes(16, 3), masks[:2])["l2"].isfinite()


def test_without_volumes_masks_are_those_of_every_method(build):
    plain = random_patch_mask((4, 4, 4), 0.75, 3, generator())
    assert torch.equal(build(fov_aware=True).draw_masks(3, generator()), plain)
    assert torch.equal(build().draw_masks(3, generator()), plain)
    assert torch.equal(build().draw_masks(3, generator(), volumes(16, 8, 4)), plain)


def test_a_volume_that_is_all_inside_is_masked_as_ever(build):
    plain = build().draw_masks(2, generator(), volumes(16, 16))
    assert torch.equal(build(fov_aware=True).draw_masks(2, generator(), volumes(16, 16)), plain)


def test_the_generator_moves_on_alike_whatever_is_masked(build):
    states = []
    for method in (build(), build(fov_aware=True)):
        for given in (None, volumes(16, 8, 4, 0), volumes(4, 4, 4, 4)):
            after = generator()
            method.draw_masks(4, after, given)
            states.append(after.get_state())
    part = generator()
    build(fov_aware=True).draw_masks(4, part, volumes(8), slice(1, 2))
    assert all(torch.equal(state, part.get_state()) for state in states)


def test_rows_of_a_batch_are_masked_as_in_the_whole(build):
    method, x = build(fov_aware=True), volumes(16, 12, 8, 4)
    whole = method.draw_masks(4, generator(), x)
    parts = [method.draw_masks(4, generator(), x[rows], rows) for rows in (slice(0, 2), slice(2, 4))]
    assert torch.equal(torch.cat(parts), whole)


def test_among_those_inside_the_generator_still_decides(build):
    method, x = build(fov_aware=True), volumes(8, 8)
    one, other = (method.draw_masks(2, generator(seed), x) for seed in (1, 2))
    assert not torch.equal(one, other) and not torch.equal(one[0], one[1])
