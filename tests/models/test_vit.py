"""The transformer with a class token: shapes at any crop, and what reaches which token."""

import pytest
import torch

from studykit.layers.positions import sincos_positions
from studykit.models import build_model

SIZES = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture
def vit():
    torch.manual_seed(0)
    return build_model("vit", **SIZES).eval()


def volume(*size, seed=0):
    return torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(16, 16, 16), (8, 8, 8), (8, 16, 24)])
def test_one_set_of_weights_reads_crops_of_any_whole_number_of_patches(vit, size):
    cls, tokens = vit(volume(*size))
    assert cls.shape == (2, 24) and tokens.shape == (2, size[0] * size[1] * size[2] // 64, 24)
    assert torch.equal(vit.encode(volume(*size)), tokens)


def test_a_token_keeps_its_distance_to_its_neighbours_in_a_smaller_crop(vit):
    large, small = (
        vit.encoder.positions.view(4, 4, 4, 24),
        vit.encoder._positions((2, 2, 2)).view(2, 2, 2, 24),
    )
    torch.testing.assert_close(small, large[:2, :2, :2])
    assert torch.equal(vit.encoder.positions, sincos_positions((4, 4, 4), 24))


def test_every_voxel_reaches_the_class_token_and_every_parameter_gets_a_gradient(vit):
    x = volume(16, 16, 16).requires_grad_()
    cls, tokens = vit(x)
    cls.sum().backward(retain_graph=True)
    assert (x.grad != 0).float().mean() > 0.99
    (cls.square().sum() + tokens.square().sum()).backward()
    assert all(p.grad.abs().sum() > 0 for p in vit.parameters())


def test_transfer_goes_by_the_encoders_names(vit):
    assert {name.partition(".")[0] for name in vit.state_dict()} == {"encoder"}


def test_sizes_that_do_not_fit_are_refused(vit):
    with pytest.raises(ValueError, match=r"img_size \(15\) must be a multiple of patch_size \(4\)"):
        build_model("vit", **{**SIZES, "img_size": 15})
    with pytest.raises(ValueError, match="does not divide into patches"):
        vit(volume(16, 16, 15))
