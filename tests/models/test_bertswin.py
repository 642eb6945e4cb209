"""BertsWin: the paper's size, the layers' shapes, and what the stem isolates."""

import pytest
import torch

from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.models.bertswin import BertsWinNet, PatchStem, UpsamplingDecoder


def test_the_paper_size_has_the_parameters_of_the_released_model():
    with torch.device("meta"):
        stem, decoder = PatchStem(16, 1, 768), UpsamplingDecoder(768, 16, 1, (512, 64, 16))
    assert [m.out_channels for m in stem.layers if isinstance(m, torch.nn.Conv3d)] == [48, 96, 192, 384, 768]
    assert [m.kernel_size[0] for m in decoder.layers if isinstance(m, torch.nn.ConvTranspose3d)] == [4, 2, 2]
    block = 4 * 768**2 + 4 * 768 + 8 * 768**2 + 5 * 768 + 4 * 768 + 13**3 * 12
    rest = count_parameters(stem) + count_parameters(decoder) + 768
    assert round((12 * block + rest) / 1e6, 1) == 90.8


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
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("bertswin", **options)


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match="Known: bertswin, mae-vit"):
        build_model("swin")
