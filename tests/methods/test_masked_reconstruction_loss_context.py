"""What a loss is given by masked reconstruction: patches alone, or the volume and the hidden places too."""

import pytest
import torch
from torch import nn

from studykit.layers.patches import patchify, take_tokens
from studykit.losses.mvc import MVCLoss
from studykit.losses.tissue import patch_flags, tissue_masks
from studykit.methods import build_method

SIZES = {
    "img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 2, "window_size": 3,
    "decoder_widths": (16, 8, 4),
}  # fmt: skip
CT = {"hu_mean": -20.0, "hu_deviation": 500.0, "dilate": 4, "erode": 1}


class Recorder(nn.Module):
    """A loss that keeps what it was given."""

    def __init__(self, needs_context):
        super().__init__()
        self.needs_context = needs_context

    def forward(self, *given):
        self.given = given
        return {"nothing": given[0].sum() * 0}


def build(**options):
    torch.manual_seed(0)
    return build_method("bertswin", **SIZES, **options)


def head_ct(batch=2):
    """Air, then 8 voxels of soft tissue, then bone, along D; with noise. Standardised."""
    hu = torch.full((batch, 1, 16, 16, 16), -1000.0)
    hu[:, :, 4:12] = 40
    hu[:, :, 12:] = 1200
    hu += 20 * torch.randn(hu.shape, generator=torch.Generator().manual_seed(0))
    return (hu - CT["hu_mean"]) / CT["hu_deviation"]


def masks(method, batch=2, seed=1):
    return method.draw_masks(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("normalise", [False, True])
def test_context_is_the_volume_as_it_came_and_the_places_of_the_hidden_patches(normalise):
    method = build(normalise_target=normalise)
    method.loss = Recorder(needs_context=True)
    x = head_ct()
    mask = masks(method)
    method(x, mask)
    _, target, volume, hidden = method.loss.given
    assert volume is x
    assert torch.equal(torch.zeros_like(mask).flatten(1).scatter(1, hidden, True).view_as(mask), mask)
    assert torch.equal(target, take_tokens(patchify(x, 4), hidden)) != normalise


def test_a_loss_that_asks_for_nothing_gets_patches_only():
    method = build()
    method.loss = Recorder(needs_context=False)
    method(head_ct(), masks(method))
    assert len(method.loss.given) == 2


def test_phys_flags_a_hidden_patch_by_its_visible_neighbours():
    """Soft tissue next to bone is a surface, though its own voxels do not say so."""
    method = build(loss="phys", loss_options={**CT, "weights": (0, 0, 1)})
    x = head_ct(batch=1)
    surface = patch_flags(tissue_masks(x * 500 - 20, dilate=4, erode=1)[1], 4)
    assert surface[0, 2].all() and not surface[0, :2].any() and not surface[0, 3].any()
    mask = masks(method, batch=1)
    terms = method(x, mask)
    difference = method.reconstruct(x, mask), x
    prediction, target = (patchify(v, 4)[0, (surface & mask).flatten()] for v in difference)
    torch.testing.assert_close(terms["surface"], sum(MVCLoss()(prediction[None], target[None]).values()))
    assert terms["surface"] > 0 and terms["all"] == terms["soft_tissue"] == 0


@pytest.mark.parametrize("loss", ["mvc", "phys"])
def test_terms_are_finite_on_flat_air_and_reach_every_parameter(loss):
    options = {"structure": "correlation", **(CT if loss == "phys" else {})}
    method = build(loss=loss, loss_options=options)
    x = torch.full((2, 1, 16, 16, 16), -2.0)
    terms = method.loss_terms(x, torch.Generator().manual_seed(0))
    assert all(term.isfinite() and term.requires_grad for term in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_a_flat_prediction_still_learns():
    """A decoder that starts at a constant has a deviation of exactly 0 everywhere."""
    for structure in ("covariance", "correlation"):
        method = build(loss="mvc", loss_options={"structure": structure})
        last = method.model.decoder.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        sum(method.loss_terms(head_ct(), torch.Generator().manual_seed(0)).values()).backward()
        assert last.weight.grad.isfinite().all() and last.weight.grad.abs().sum() > 0


def test_bfloat16_autocast_leaves_the_terms_in_float32():
    method = build(loss="phys", loss_options=CT)
    exact = method(head_ct(), masks(method))
    with torch.autocast("cpu", torch.bfloat16):
        terms = method(head_ct(), masks(method))
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], atol=0.02, rtol=0.02)
