"""Closed forms of cost against counts on the meta device, part by part, for our networks and for MONAI's."""

import pytest
import torch

from studykit.masking import num_masked
from studykit.metrics.compute import count_flops
from studykit.models import build_model
from studykit.studies.bertswin_compute.cost_model import (
    PARTS,
    bertswin_operations,
    counted_parts,
    mae_operations,
)


def counted(name, grid, patch, **options):
    model = build_model(name, img_size=grid * patch, patch_size=patch, **options)
    mask = torch.zeros(1, grid, grid, grid, dtype=torch.bool)
    visible = grid**3 - num_masked((grid,) * 3, 0.75)
    shape = (1, 1, *(grid * patch,) * 3)
    return count_flops(model, shape, backward=True, mask=mask, num_visible=visible)


def assert_equal(counts, derived):
    assert counted_parts(counts.by_module) == derived.parts
    assert tuple(derived.parts) == PARTS
    assert counts.total == derived.training


@pytest.mark.parametrize("grid", [3, 4])
def test_mae_equals_the_count(grid):
    sizes = {
        "embed_dim": 24,
        "depth": 3,
        "mlp_dim": 40,
        "decoder_dim": 12,
        "decoder_depth": 2,
        "decoder_mlp_dim": 30,
    }
    counts = counted("mae-vit", grid, 4, **sizes, num_heads=2, decoder_num_heads=2)
    assert_equal(counts, mae_operations(grid, 4, **sizes))


@pytest.mark.parametrize(("grid", "patch", "window"), [(4, 8, 2), (5, 8, 3), (2, 8, 3), (2, 16, 2)])
def test_bertswin_equals_the_count_with_whole_padded_and_single_windows(grid, patch, window):
    sizes = {"embed_dim": 12 * patch, "depth": 2, "window_size": window, "decoder_widths": (32, 16, 8)}
    counts = counted("bertswin", grid, patch, num_heads=2, **sizes)
    assert_equal(counts, bertswin_operations(grid, patch, **sizes))


@pytest.mark.parametrize("grid", [2, 3])
def test_monai_equals_the_count(grid):
    from monai.networks.nets import MaskedAutoEncoderViT

    model = MaskedAutoEncoderViT(
        1, 4 * grid, 4, hidden_size=24, mlp_dim=40, num_layers=3, num_heads=2,
        decoder_hidden_size=12, decoder_mlp_dim=30, decoder_num_layers=2, decoder_num_heads=2,
    )  # fmt: skip
    sizes = {
        "embed_dim": 24,
        "depth": 3,
        "mlp_dim": 40,
        "decoder_dim": 12,
        "decoder_depth": 2,
        "decoder_mlp_dim": 30,
    }
    counts = count_flops(model, (1, 1, *(4 * grid,) * 3), backward=True)
    assert_equal(counts, mae_operations(grid, 4, monai=True, **sizes))


def test_the_baseline_meets_the_quoted_figures_and_bertswin_does_not():
    assert round(mae_operations(14, 16, monai=True).forward / 1e9, 1) == 228.3
    assert round(mae_operations(32, 16, monai=True).forward / 1e12, 2) == 11.04
    assert round(bertswin_operations(14, 16).forward / 1e9, 1) == 538.2
    assert round(bertswin_operations(32, 16, padding="block").forward / 1e12, 2) == 7.13


def test_cost_follows_the_tokens_where_windows_tile_the_grid_and_exceeds_them_elsewhere():
    token = bertswin_operations(14, 16).forward / 14**3
    for grid in (7, 14, 21, 28):
        assert bertswin_operations(grid, 16) == bertswin_operations(grid, 16, padding="none")
        # Only the rounding of the visible quarter tells one multiple of the window from another.
        assert bertswin_operations(grid, 16).forward / grid**3 == pytest.approx(token, rel=2e-4)
    none, attention, block = (
        bertswin_operations(8, 16, padding=p).forward for p in ("none", "attention", "block")
    )
    assert none < attention < block
    assert block - attention == 12 * 2 * (14**3 - 8**3) * 768**2


def test_unknown_padding_lists_the_known_ones():
    with pytest.raises(ValueError, match="none, attention, block"):
        bertswin_operations(8, 16, padding="all")
