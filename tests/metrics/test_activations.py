"""What is kept for the backward pass, against sizes known by hand and against a real pass."""

import pytest
import torch
from torch import nn

from studykit.masking import random_patch_mask
from studykit.metrics.activations import kept_bytes
from studykit.models import build_model


def really_kept(model, x, **inputs):
    """Bytes of all storages that a pass on real numbers saves, parameters, buffers and inputs left out."""
    given = [
        *model.parameters(),
        *model.buffers(),
        x,
        *(v for v in inputs.values() if isinstance(v, torch.Tensor)),
    ]
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(x, **inputs)
    assert output is not None
    return sum(storage.nbytes() for place, storage in saved.items() if place not in known)


def test_linear_layers_keep_their_inputs_and_a_relu_its_output_once():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    assert kept_bytes(model, (10, 8)) == 4 * 10 * 16
    assert kept_bytes(model.double(), (10, 8)) == 8 * 10 * 16


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bertswin", {"window_size": 3}),
        ("bertswin", {"window_size": 4}),
        ("mae-vit", {"decoder_dim": 24, "decoder_depth": 1, "decoder_num_heads": 2, "mlp_dim": 96}),
    ],
)
def test_equals_a_real_pass(name, options):
    model = build_model(name, img_size=32, patch_size=8, embed_dim=96, depth=2, num_heads=2, **options)
    mask = random_patch_mask((4, 4, 4), 0.75, 1, torch.Generator().manual_seed(0))
    x, given = torch.randn(1, 1, 32, 32, 32), {"mask": mask, "num_visible": 16}
    counted = kept_bytes(model, x.shape, **given)
    assert counted == really_kept(model, x, **given)
    assert counted > 0


def test_the_model_still_computes_afterwards():
    """Blocks share their windows: a swap that is undone wrongly would leave fake buffers behind."""
    model = build_model(
        "bertswin", img_size=32, patch_size=8, embed_dim=96, depth=4, num_heads=2, window_size=3
    )
    mask = random_patch_mask((4, 4, 4), 0.75, 1, torch.Generator().manual_seed(0))
    x = torch.randn(1, 1, 32, 32, 32)
    before = model(x, mask)
    kept_bytes(model, x.shape, mask=mask, num_visible=16)
    torch.testing.assert_close(model(x, mask), before)
    assert all(
        type(tensor) in (torch.Tensor, nn.Parameter) for tensor in model.state_dict(keep_vars=True).values()
    )
