"""Merging of tokens against MONAI's, on even grids and odd ones."""

import pytest
import torch

from studykit.layers.patch_merging import PatchMerging


@pytest.mark.parametrize("grid", [(4, 4, 4), (5, 2, 3)])
def test_it_is_monais(grid):
    from monai.networks.nets.swin_unetr import PatchMergingV2

    torch.manual_seed(0)
    ours, theirs = PatchMerging(6).double(), PatchMergingV2(6).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, *grid, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))
