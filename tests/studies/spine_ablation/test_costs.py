"""Counted cost: against the model itself, and how it grows with the crop."""

import pytest

from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model
from studykit.studies.spine_ablation.costs import PUBLISHED, cost_rows, costs_by_crop

UNET = ("unet", {"channels": (4, 8)})


def test_rows_are_the_models_own_counts_and_their_ratios():
    table = cost_rows({"3D U-Net": UNET, "wide": ("unet", {"channels": (8, 16)})}, 16, 3).set_index("arm")
    model = build_model("unet", img_size=16, num_classes=3, channels=(8, 16))
    assert table.loc["wide", "parameters"] == count_parameters(model)
    assert table.loc["wide", "forward GFLOP"] * 1e9 == pytest.approx(
        count_flops(model, (1, 1, 16, 16, 16)).total
    )
    ratio = table.loc["wide", "forward GFLOP"] / table.loc["3D U-Net", "forward GFLOP"]
    assert table.loc["wide", "GFLOP over U-Net"] == pytest.approx(ratio) and ratio > 3
    assert table.loc["3D U-Net", "parameters over U-Net"] == 1


def test_a_u_net_costs_the_same_a_voxel_and_both_parts_cost_more():
    table = costs_by_crop([48, 96]).set_index("crop")
    assert list(table) == list(PUBLISHED)
    assert table.loc[96, "3D U-Net"] / table.loc[48, "3D U-Net"] == pytest.approx(8)
    assert (table["SwinUNETR + both"] > table["SwinUNETR"]).all()
