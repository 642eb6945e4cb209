"""What every masked-reconstruction method owes: no leak, a loss on hidden voxels, gradients everywhere."""

import pytest
import torch

from studykit.masking import upsample_mask
from studykit.methods import METHODS, build_method

SMALL = {
    "mae": {
        "img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_dim": 48,
        "decoder_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2, "decoder_mlp_dim": 24,
    },
    "bertswin": {
        "img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 2, "window_size": 3,
        "decoder_widths": (16, 8, 4),
    },
}  # fmt: skip


@pytest.fixture(params=sorted(SMALL))
def method(request):
    torch.manual_seed(0)
    return build_method(request.param, **SMALL[request.param])


def volume(seed=0, batch=2):
    return torch.randn(batch, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_hidden_voxels_cannot_reach_any_prediction(method):
    x = volume()
    mask = method.draw_masks(2, torch.Generator().manual_seed(1))
    hidden = upsample_mask(mask, 4)
    changed = torch.where(hidden, volume(seed=9) * 100, x)
    with torch.no_grad():
        assert torch.equal(method.model(x, mask), method.model(changed, mask))
        changed = torch.where(hidden, x, x + 1)
        assert not torch.equal(method.model(x, mask), method.model(changed, mask))


def test_no_gradient_flows_to_hidden_voxels(method):
    x = volume().requires_grad_()
    mask = method.draw_masks(2, torch.Generator().manual_seed(1))
    method.model(x, mask).square().sum().backward()
    hidden = upsample_mask(mask, 4)
    assert x.grad[hidden].abs().max() == 0
    assert x.grad[~hidden].abs().min() > 0


def test_loss_is_the_mean_squared_error_of_hidden_voxels(method):
    x = volume()
    mask = method.draw_masks(2, torch.Generator().manual_seed(1))
    difference = (method.reconstruct(x, mask) - x)[upsample_mask(mask, 4)]
    torch.testing.assert_close(method(x, mask)["l2"], difference.square().mean())
    assert torch.equal(method.reconstruct(x, mask)[~upsample_mask(mask, 4)], x[~upsample_mask(mask, 4)])


def test_every_parameter_gets_a_gradient(method):
    generator = torch.Generator().manual_seed(1)
    sum(method.loss_terms(volume(), generator).values()).backward()
    without = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_the_generator_decides_the_mask(method):
    loss = lambda seed: method.loss_terms(volume(), torch.Generator().manual_seed(seed))["l2"]  # noqa: E731
    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


def test_works_under_bfloat16_autocast(method):
    x, generator = volume(), torch.Generator().manual_seed(1)
    exact = method.loss_terms(x, torch.Generator().manual_seed(1))["l2"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss_terms(x, generator)["l2"]
        method.encode(x)
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=0.02, rtol=0.02)


def test_encode_sees_the_whole_volume(method):
    tokens = method.encode(volume())
    assert tokens.shape == (2, 64, method.model.embed_dim)
    assert not torch.equal(tokens, method.encode(volume(seed=3)))


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ValueError, match=f"Known: {', '.join(sorted(METHODS))}"):
        build_method("dino")
    with pytest.raises(ValueError, match="takes no depht"):
        build_method("mae", depht=3)
