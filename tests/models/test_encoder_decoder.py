"""Every encoder-decoder keeps what the interface says: stated channels and strides, parts by name."""

import pytest
import torch

from studykit.models import MODELS, build_model
from studykit.models.encoder_decoder import EncoderDecoder

SIZES = {
    "nnformer": {"embed_dim": 12, "num_heads": (1, 1, 1, 1), "window_size": (2, 2, 2, 1)},
    "unet": {"channels": (4, 6, 8)},
    "unetr": {"patch_size": 8, "embed_dim": 12, "depth": 3, "num_heads": 2, "feature_size": 4},
    "residual-unet": {"widths": (4, 6), "stem_stride": 2},
    "swin-unetr": {"feature_size": 6, "depths": (1, 1), "num_heads": (1, 2), "window_size": 3},
    "unet-transformer": {"channels": (4, 6, 8), "depth": 1},
    "cnn3d": {"channels": (4, 6, 8)},
    "waveformer": {"widths": (16, 16), "depth": 1},
    "wave-unet": {"widths": (16, 16), "levels": (1, 0), "depth": 1},
}


def model(name):
    torch.manual_seed(0)
    return build_model(name, img_size=32, in_channels=2, num_classes=3, **SIZES[name]).eval()


def test_all_architectures_with_maps_are_here():
    assert {name for name, kind in MODELS.items() if issubclass(kind, EncoderDecoder)} == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_maps_have_the_stated_channels_and_strides(name):
    net, x = model(name), torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps, scores = net.encode(x), net(x)
    expected = [
        (1, width, *(32 // s for s in stride))
        for width, stride in zip(net.channels, net.strides, strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == expected
    finest = scores[0] if isinstance(scores, list) else scores
    assert finest.shape == (1, 3, 32, 32, 32)


@pytest.mark.parametrize("name", SIZES)
def test_all_weights_belong_to_encoder_decoder_or_head(name):
    assert {key.partition(".")[0] for key in model(name).state_dict()} == {"encoder", "decoder", "head"}
