"""Patch merging is MONAI's second form, odd grids too."""

import pytest
import torch

from studykit.layers.patch_merging import PatchMerging


@pytest.mark.parametrize("grid", [(4, 2, 6), (3, 4, 5), (1, 1, 2)])
def test_it_is_monais(grid):
    from monai.networks.nets.swin_unetr import PatchMergingV2

    torch.manual_seed(0)
    ours, theirs = PatchMerging(3).double(), PatchMergingV2(3).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn_like(parameter))
    theirs.load_state_dict(ours.state_dict())
    found = []
    for layer in (ours, theirs):
        x = torch.randn(2, *grid, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        x.requires_grad_()
        out = layer(x)
        out.square().sum().backward()
        found.append((out.detach(), x.grad))
    torch.testing.assert_close(*found)
