"""The residual convolution block is MONAI's; several maps are their concatenation; norms in either layout."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.instance_norm import channels_last, instance_norm
from studykit.layers.residual_conv import ResidualConvBlock


def numbers(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("parts", "width"), [((4,), 4), ((3,), 5), ((2, 4), 3)])
def test_it_is_monais_block_on_the_concatenation(parts, width, dtype):
    from monai.networks.blocks import UnetResBlock

    torch.manual_seed(0)
    ours = ResidualConvBlock(sum(parts), width).to(dtype)
    theirs = UnetResBlock(3, sum(parts), width, kernel_size=3, stride=1, norm_name="instance").to(dtype)
    theirs.load_state_dict(
        {name.replace(".weight", ".conv.weight"): v for name, v in ours.state_dict().items()}
    )
    found = []
    for block, joined in ((ours, False), (theirs, True)):
        maps = [numbers(2, n, 4, 6, 5, seed=n).to(dtype).requires_grad_() for n in parts]
        out = block(torch.cat(maps, dim=1)) if joined else block(*maps)
        (out * numbers(*out.shape).to(dtype)).sum().backward()
        found.append([out.detach(), *(m.grad for m in maps), *(p.grad for p in block.parameters())])
    tolerance = 1e-11 if dtype == torch.float64 else 2e-4
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def test_the_inputs_are_left_as_they_were():
    block, x = ResidualConvBlock(4, 4).double(), channels_last(numbers(1, 4, 3, 4, 5))
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_is_torchs_and_keeps_the_layout(batch):
    found = []
    for norm in (instance_norm, F.instance_norm):
        x = channels_last(numbers(batch, 3, 4, 5, 6)).requires_grad_()
        out = norm(x)
        (out * numbers(*out.shape, seed=2)).sum().backward()
        found.append((out.detach(), x.grad))
        if norm is instance_norm:
            assert out.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(*found)


def test_a_single_voxel_is_refused():
    with pytest.raises(ValueError, match="more than 1"):
        instance_norm(channels_last(numbers(1, 3, 1, 1, 1)))
