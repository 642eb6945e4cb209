"""The decoder sees maps where they are visible and tokens elsewhere, and leads to voxels."""

import pytest
import torch

from studykit.masking import upsample_mask
from studykit.models.light_decoder import LightDecoder

CHANNELS = (4, 6, 8)
GRID = (2, 3, 2)


def decoder(strides=((2, 2, 2), (4, 4, 4), (8, 8, 8)), **options):
    torch.manual_seed(0)
    return LightDecoder(CHANNELS, strides, width=16, **options).eval()


def maps(strides=(2, 4, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [[g * strides[-1] // s for g in GRID] for s in strides]
    return [torch.randn(2, c, *n, generator=generator) for c, n in zip(CHANNELS, sizes, strict=True)]


def mask():
    return torch.rand(2, *GRID, generator=torch.Generator().manual_seed(1)) < 0.5


def hidden(x, visible):
    return (~upsample_mask(visible, x.shape[2] // visible.shape[1])).expand_as(x)


@pytest.mark.parametrize("finest", [1, 2, 4])
def test_it_leads_to_voxels_from_any_finest_stride(finest):
    strides = [finest * 2**i for i in range(3)]
    net = decoder(tuple((s,) * 3 for s in strides), out_channels=2)
    assert net(maps(strides), mask()).shape == (2, 2, *(g * strides[-1] for g in GRID))


def test_anisotropic_strides():
    strides = ((1, 2, 2), (2, 4, 4), (2, 8, 8))
    sizes = [[8 // s[0], 16 // s[1], 16 // s[2]] for s in strides]
    x = [torch.randn(1, c, *n) for c, n in zip(CHANNELS, sizes, strict=True)]
    visible = torch.rand(1, 4, 2, 2) < 0.5
    assert decoder(strides)(x, visible).shape == (1, 1, 8, 16, 16)


def test_what_stands_at_hidden_sites_of_a_map_is_replaced():
    net, visible = decoder(), mask()
    spoilt = [x.masked_fill(hidden(x, visible), float("nan")).requires_grad_() for x in maps()]
    y = net(spoilt, visible)
    assert torch.equal(y, net(maps(), visible))
    y.square().sum().backward()
    for x in spoilt:
        assert x.grad[hidden(x, visible)].eq(0).all()
        assert x.grad[~hidden(x, visible)].abs().sum() > 0


def test_every_map_and_every_parameter_counts():
    net, visible = decoder(), mask()
    for level in range(3):
        changed = [x + i if i == level else x for i, x in enumerate(maps(seed=3))]
        changed[level] = torch.randn_like(changed[level])
        assert not torch.equal(net(changed, visible), net(maps(seed=3), visible))
    net(maps(), visible).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_with_everything_visible_there_are_no_tokens():
    net = decoder()
    everything = torch.ones(2, *GRID, dtype=torch.bool)
    expected = net(maps(), everything)
    for token in net.mask_tokens:
        torch.nn.init.constant_(token, 9.0)
    torch.testing.assert_close(net(maps(), everything), expected)
    torch.testing.assert_close(net(maps()), expected)


def test_bad_strides_are_named():
    with pytest.raises(ValueError, match=r"\(3, 3, 3\) is no multiple of \(2, 2, 2\)"):
        LightDecoder((4, 4), ((2, 2, 2), (3, 3, 3)))
    with pytest.raises(ValueError, match="Got 2 maps' channels, but 1 strides"):
        LightDecoder((4, 4), ((2, 2, 2),))
