"""BertsWin: the paper's size, the layers' shapes, and what the stem isolates."""

import pytest
import torch

from studykit.masking import random_patch_mask, upsample_mask
from studykit.methods import build_method
from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model
from studykit.models.bertswin import BertsWinNet, PatchStem, UpsamplingDecoder

SMALL = {
    "img_size": 20, "patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 2, "window_size": 3,
    "decoder_widths": (16, 8, 4),
}  # fmt: skip


def test_the_paper_size_has_the_parameters_of_the_released_model():
    with torch.device("meta"):
        stem, decoder = PatchStem(16, 1, 768), UpsamplingDecoder(768, 16, 1, (512, 64, 16))
    assert [m.out_channels for m in stem.layers if isinstance(m, torch.nn.Conv3d)] == [48, 96, 192, 384, 768]
    assert [m.kernel_size[0] for m in decoder.layers if isinstance(m, torch.nn.ConvTranspose3d)] == [4, 2, 2]
    block = 4 * 768**2 + 4 * 768 + 8 * 768**2 + 5 * 768 + 4 * 768 + 13**3 * 12
    rest = count_parameters(stem) + count_parameters(decoder) + 768
    assert round((12 * block + rest) / 1e6, 1) == 90.8


def test_patches_of_32_are_those_of_the_released_model():
    with torch.device("meta"):
        model = BertsWinNet(patch_size=32)
    assert count_parameters(model) == 99_098_609
    stem = [m.out_channels for m in model.stem.layers if isinstance(m, torch.nn.Conv3d)]
    assert stem == [48, 96, 192, 384, 768, 768]
    strides = [m.stride[0] for m in model.decoder.layers if isinstance(m, torch.nn.ConvTranspose3d)]
    assert strides == [4, 4, 2]


@pytest.mark.parametrize(("patch", "img"), [(4, 16), (8, 24), (16, 32)])
def test_any_patch_size_gives_patches_back(patch, img):
    model = build_model(
        "bertswin", img_size=img, patch_size=patch, embed_dim=192, depth=2, num_heads=2, window_size=2,
        decoder_widths=(32, 8, 4),
    )  # fmt: skip
    tokens = (img // patch) ** 3
    mask = torch.zeros(2, *model.grid, dtype=torch.bool)
    mask[:, 0] = True
    assert model(torch.randn(2, 1, img, img, img), mask).shape == (2, tokens, 1, patch, patch, patch)
    assert model.encode(torch.randn(2, 1, img, img, img)).shape == (2, tokens, 192)


def test_blocks_alternate_between_plain_and_shifted_windows():
    model = BertsWinNet(img_size=40, patch_size=4, embed_dim=48, depth=4, num_heads=2, window_size=7)
    assert [b.attn.windows.shift[0] for b in model.blocks] == [0, 3, 0, 3]
    assert model.blocks[0].attn.windows.count == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": 30, "patch_size": 16}, "multiple of patch_size"),
        ({"patch_size": 6, "img_size": 24}, "power of two"),
        ({"patch_size": 2, "img_size": 8, "embed_dim": 48}, "multiple of 4"),
        ({"embed_dim": 100, "img_size": 32}, "multiple"),
        ({"widht": 3}, "takes no widht. Known:"),
        ({"stem": "strickt"}, "Unknown stem 'strickt'. Known: overlapping, strict"),
        ({**SMALL, "sparse_blocks": 3}, "below depth .3., got 3"),
        ({**SMALL, "sparse_blocks": -1}, "at least 0 .* got -1"),
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("bertswin", **options)


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"Known: bertswin, .*mae-vit"):
        build_model("swin")


def small(seed: int = 0, **options) -> BertsWinNet:
    torch.manual_seed(seed)
    return build_model("bertswin", **SMALL, **options)


def volumes_and_mask() -> tuple[torch.Tensor, torch.Tensor]:
    """(2, 1, 20, 20, 20), and bool (2, 5, 5, 5) with all of the first window of the first sample hidden."""
    generator = torch.Generator().manual_seed(0)
    mask = random_patch_mask((5, 5, 5), 0.75, 2, generator)
    mask[0] = True
    mask[0].view(-1)[-31:] = False
    return torch.randn(2, 1, 20, 20, 20, generator=generator), mask


@pytest.mark.parametrize(("stem", "outputs"), [("strict", 1), ("overlapping", 8)])
def test_a_voxel_reaches_one_output_of_a_strict_convolution(stem, outputs):
    convolution = PatchStem(8, 1, 96, stem).layers[0]
    patch = torch.zeros(1, 1, 8, 8, 8)
    patch[..., 3, 3, 3] = 1.0
    assert int((convolution(patch)[0].abs() > 0).any(dim=0).sum()) == outputs


def test_a_strict_stem_gives_the_same_tokens_with_fewer_weights():
    strict, overlapping = small(stem="strict"), small()
    volume, mask = volumes_and_mask()
    assert strict(volume, mask).shape == overlapping(volume, mask).shape
    saved = (27 - 8) * (12 + 12 * 24)
    assert count_parameters(overlapping) - count_parameters(strict) == saved


def test_sparse_blocks_change_neither_parameters_nor_the_encoding():
    volume, _ = volumes_and_mask()
    full, sparse = small(), small(sparse_blocks=2)
    assert full.state_dict().keys() == sparse.state_dict().keys()
    for name, weight in full.state_dict().items():
        torch.testing.assert_close(sparse.state_dict()[name], weight, atol=0, rtol=0)
    torch.testing.assert_close(sparse.encode(volume), full.encode(volume), atol=0, rtol=0)


def test_sparse_blocks_with_nothing_hidden_predict_what_full_ones_do():
    volume, mask = volumes_and_mask()
    full, sparse = small().double(), small(sparse_blocks=2).double()
    volume, nothing = volume.double(), torch.zeros_like(mask)
    torch.testing.assert_close(sparse(volume, nothing), full(volume, nothing), atol=1e-12, rtol=1e-10)
    assert (sparse(volume, mask) - full(volume, mask)).abs().max() > 1e-3


@pytest.mark.parametrize("sparse_blocks", [0, 1, 2])
def test_hidden_voxels_cannot_reach_the_prediction(sparse_blocks):
    model = small(sparse_blocks=sparse_blocks)
    volume, mask = volumes_and_mask()
    hidden = upsample_mask(mask, 4)
    other = torch.where(hidden, torch.full_like(volume, float("nan")), volume)
    prediction = model(volume, mask)
    assert prediction.isfinite().all()
    torch.testing.assert_close(model(other, mask), prediction, atol=0, rtol=0)
    other = torch.where(hidden, volume, volume + 1 + volume.square())
    assert (model(other, mask) - prediction).abs().max() > 1e-3


def test_mask_tokens_with_their_positions_come_in_after_the_sparse_blocks():
    model = small(sparse_blocks=2)
    volume, mask = volumes_and_mask()
    entering = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    model(volume, mask)
    assert entering[0].shape == entering[1].shape == (2, 31, 48)
    hidden = mask.flatten(1)
    expected = (model.mask_token + model.positions).expand(2, -1, -1)[hidden]
    torch.testing.assert_close(entering[2].flatten(1, 3)[hidden], expected, atol=0, rtol=0)
    seen = model.blocks[1](entering[1], (~hidden).nonzero()[:, 1].view(2, 31))
    torch.testing.assert_close(entering[2].flatten(1, 3)[~hidden], seen.flatten(0, 1))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_sparse_blocks_train_with_finite_gradients(precision):
    model = small(sparse_blocks=2, stem="strict")
    volume, mask = volumes_and_mask()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        model(volume, mask, 31).float().square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_operations_of_a_sparse_model_by_hand():
    """125 tokens, 31 of them visible, in 216 slots of windows of 27, all 48 wide."""
    full, sparse = (build_method("bertswin", **SMALL, sparse_blocks=n) for n in (0, 2))
    mask = sparse.draw_masks(1, torch.Generator().manual_seed(0))
    assert int((~mask).sum()) == 31
    counted = count_flops(sparse, (1, 1, 20, 20, 20), mask=mask)
    blocks = [counted.by_module[f"model.blocks.{i}"] for i in range(3)]
    products = 4 * 216 * 27 * 48
    assert blocks[:2] == [2 * 31 * (3 + 1 + 8) * 48**2 + products] * 2
    assert blocks[2] == 2 * (216 * 3 + 125 * (1 + 8)) * 48**2 + products
    assert counted.by_module["model.blocks"] == sum(blocks)
    whole = count_flops(full, (1, 1, 20, 20, 20), mask=mask)
    assert whole.total - counted.total == 2 * (blocks[2] - blocks[0])
    training = count_flops(sparse, (1, 1, 20, 20, 20), mask=mask, backward=True)
    first_layer = counted.by_module["model.stem.layers.0"]
    assert first_layer == 31 * 2 * 27 * 12 * 2**3
    assert training.total == 3 * counted.total - first_layer


def test_operations_of_a_strict_stem_by_hand():
    with torch.device("meta"):
        stem = PatchStem(4, 1, 48, "strict")
    counted = count_flops(stem, (1, 31, 1, 4, 4, 4))
    assert counted.total == 31 * 2 * (8 * 12 * 2**3 + 8 * 12 * 24 + 24 * 48)
