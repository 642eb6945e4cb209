"""The autoencoder around the shared encoder: the same function as MAE-ViT, and what of it goes on."""

import torch

from studykit.masking import random_patch_mask
from studykit.methods import build_method
from studykit.models import build_model
from studykit.training.transfer import transfer_weights

VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}
SIZES = {**VIT, "decoder_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2}
SAME = {**SIZES, "mlp_dim": 96, "decoder_mlp_dim": 48}


def built(**options):
    torch.manual_seed(0)
    return build_model("vit-autoencoder", **{**SIZES, **options})


def crops_and_mask():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 1, 16, 16, 16, generator=generator), random_patch_mask(
        (4, 4, 4), 0.75, 2, generator
    )


def name_there(name):
    """A weight's name in MAE-ViT, whose encoder and decoder are no parts."""
    if name.startswith("decoder.") and not name.startswith(("decoder.mask_token", "decoder.head")):
        return name.replace(".", "_", 1)
    return name.partition(".")[2]


def test_it_is_mae_vit_by_other_names_forward_and_backward():
    ours, theirs = built(), build_model("mae-vit", **SAME)
    theirs.load_state_dict({name_there(name): value for name, value in ours.state_dict().items()})
    volume, mask = crops_and_mask()
    expected = theirs(volume, mask)
    torch.testing.assert_close(ours(volume, mask), expected)
    torch.testing.assert_close(ours(volume, mask, 16), expected)
    torch.testing.assert_close(ours.encode(volume), theirs.encode(volume))
    ours(volume, mask).square().sum().backward()
    expected.square().sum().backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name_there(name)].grad, rtol=1e-4, atol=1e-5)


def test_the_encoder_reads_no_hidden_patch_and_the_order_of_visible_ones_does_not_count():
    model, (volume, mask) = built().eval(), crops_and_mask()
    hidden = mask.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)[:, None]
    other = torch.where(hidden, torch.full_like(volume, torch.nan), volume)
    assert torch.equal(model(other, mask), model(volume, mask))
    visible = torch.tensor([[5, 2, 40], [1, 0, 3]])
    cls, tokens = model.encoder(volume, visible)
    again, turned = model.encoder(volume, visible.flip(1))
    assert tokens.shape == (2, 3, 24)
    torch.testing.assert_close(again, cls)
    torch.testing.assert_close(turned.flip(1), tokens)
    every = torch.arange(64).expand(2, -1)
    torch.testing.assert_close(model.encoder(volume, every), model.encoder(volume))


def test_the_method_trains_an_encoder_that_others_take_over():
    torch.manual_seed(0)
    method = build_method("mae", model="vit-autoencoder", **SIZES)
    classifier = build_method("classification", **VIT)
    report = transfer_weights(classifier, method.state_dict())
    assert report.loaded and all(name.startswith("model.encoder.") for name in report.loaded)
    volume, _ = crops_and_mask()
    torch.testing.assert_close(classifier.encode(volume), method.encode(volume))
