"""nnFormer: the published sizes, odd and anisotropic crops, what deep supervision gives, every gradient."""

import math

import pytest
import torch

from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.models.nnformer import NnFormer

TINY = {"img_size": 32, "embed_dim": 24, "num_heads": (1, 2, 4, 8), "stem_stride": 2, "num_classes": 3}
CUBIC = [(32, 32, 32), (16, 16, 16), (8, 8, 8), (4, 4, 4)]
VARIANTS = {  # the sizes that were published
    "brats": {
        "img_size": (128, 128, 128), "stem_stride": (4, 4, 4), "embed_dim": 96, "num_heads": (3, 6, 12, 24),
        "window_size": (4, 4, 8, 4), "stage_strides": (2, 2, 2),
    },
    "synapse": {
        "img_size": (64, 128, 128), "stem_stride": (2, 4, 4), "embed_dim": 192, "num_heads": (6, 12, 24, 48),
        "window_size": (4, 4, 8, 4), "stage_strides": (2, 2, 2), "deep_supervision": True,
    },
    "acdc": {
        "img_size": (14, 160, 160), "stem_stride": (1, 4, 4), "embed_dim": 96, "num_heads": (3, 6, 12, 24),
        "window_size": ((3, 5, 5), (3, 5, 5), (7, 10, 10), (3, 5, 5)), "stage_strides": ((1, 2, 2), 2, 2),
    },
}  # fmt: skip
SHAPES = {  # channels of the finest map, cells of each map, voxels a cell of each map
    "brats": (96, CUBIC, [(4, 4, 4), (8, 8, 8), (16, 16, 16), (32, 32, 32)]),
    "synapse": (192, CUBIC, [(2, 4, 4), (4, 8, 8), (8, 16, 16), (16, 32, 32)]),
    "acdc": (
        96,
        [(14, 40, 40), (14, 20, 20), (7, 10, 10), (3, 5, 5)],
        [(1, 4, 4), (1, 8, 8), (2, 16, 16), (4, 32, 32)],
    ),
}


def tiny(**options) -> NnFormer:
    torch.manual_seed(0)
    return build_model("nnformer", **{**TINY, **options})


def crop(*size: int, batch: int = 1, channels: int = 1) -> torch.Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_shapes_of_the_published_variants(name):
    with torch.device("meta"):
        model = NnFormer(**VARIANTS[name], in_channels=2, num_classes=5)
        x = torch.empty(2, 2, *model.img_size)
    embed_dim, grids, strides = SHAPES[name]
    channels = [embed_dim * factor for factor in (1, 2, 4, 8)]
    assert (list(model.channels), list(model.strides)) == (channels, strides)
    assert [tuple(m.shape) for m in model.encode(x)] == [
        (2, c, *grid) for c, grid in zip(channels, grids, strict=True)
    ]
    decoded = model.decoder(model.encoder(x))
    assert [tuple(m.shape) for m in decoded] == [
        (2, c, *grid) for c, grid in list(zip(channels, grids, strict=True))[:3]
    ]
    assert model.eval()(x).shape == (2, 5, *model.img_size)


def test_windows_of_the_published_variants():
    def sizes(name):
        with torch.device("meta"):
            model = NnFormer(**VARIANTS[name])
        stages = [[(b.attn.windows.size, b.attn.windows.shift) for b in s] for s in model.encoder.stages]
        asking = [block.attn.windows for block in model.decoder.skips]
        assert [w.size for w in asking] == [stage[0][0] for stage in stages[2::-1]]
        assert not any(any(w.shift) for w in asking)
        assert [b.attn.windows.shift for b in model.decoder.blocks] == [
            stage[1][1] for stage in stages[2::-1]
        ]
        return stages

    local = [((4, 4, 4), (0, 0, 0)), ((4, 4, 4), (2, 2, 2))]
    whole = [[((8, 8, 8), (0, 0, 0))] * 2, [((4, 4, 4), (0, 0, 0))] * 2]
    assert sizes("brats") == sizes("synapse") == [local, local, *whole]
    local = [((3, 5, 5), (0, 0, 0)), ((3, 5, 5), (1, 2, 2))]
    whole = [[((7, 10, 10), (0, 0, 0))] * 2, [((3, 5, 5), (0, 0, 0))] * 2]
    assert sizes("acdc") == [local, local, *whole]


def test_each_offset_of_a_window_has_a_bias_of_its_own():
    with torch.device("meta"):
        models = [NnFormer(**VARIANTS[name]) for name in ("brats", "acdc")]
    modules = [m.attn for model in models for m in model.modules() if hasattr(m, "attn")]
    assert len(modules) == 2 * (8 + 6)
    seen = set()
    for attention in modules:
        window = attention.windows.window_size
        if window in seen:
            continue
        seen.add(window)
        fresh = type(attention.position_bias)(window, 1)
        offsets = math.prod(2 * w - 1 for w in window)
        assert fresh.index.unique().numel() == offsets == attention.position_bias.table.shape[0]
    assert seen == {(4, 4, 4), (8, 8, 8), (3, 5, 5), (7, 10, 10)}


def test_the_quoted_size_counts_the_heads_of_the_decoder_twice():
    """37.6 million are quoted for BraTS: a position bias has a column a head, and these come twice."""
    with torch.device("meta"):
        model = NnFormer(in_channels=4, num_classes=4)
    biases = [n.numel() for name, n in model.decoder.named_parameters() if "position_bias" in name]
    assert count_parameters(model) == 37_519_552
    assert count_parameters(model) + sum(biases) == 37_606_726


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_parameters_by_hand(name):
    options = VARIANTS[name]
    inputs, classes, e = 2, 5, options["embed_dim"]
    with torch.device("meta"):
        model = NnFormer(**options, in_channels=inputs, num_classes=classes)

    def axes(size):
        return [size] * 3 if isinstance(size, int) else list(size)

    def conv(before, after, kernel):
        return before * after * math.prod(kernel) + after

    def block(stage, kv_only=False):
        dim, heads = e * 2**stage, options["num_heads"][stage]
        projections = 3 if kv_only else 4
        biases = math.prod(2 * w - 1 for w in axes(options["window_size"][stage])) * heads
        return (projections + 8) * dim**2 + (projections + 5) * dim + 4 * dim + biases

    half, cube = e // 2, [3] * 3
    stem = conv(inputs, half, cube) + conv(half, half, cube) + conv(half, e, cube) + conv(e, e, cube)
    stem += 2 * (half + half + e + e)
    encoder = stem + sum(2 * block(i) + 2 * e * 2**i for i in range(4))
    decoder = sum(block(i) + block(i, kv_only=True) for i in range(3))
    for i, step in enumerate(map(axes, options["stage_strides"])):
        fine, coarse = e * 2**i, e * 2 ** (i + 1)
        encoder += conv(fine, coarse, [3 if s == 2 else 1 for s in step]) + 2 * fine
        decoder += conv(coarse, fine, step) + 2 * coarse
    heads = sum(conv(e * 2**i, classes, options["stem_stride"]) for i in range(3 if name == "synapse" else 1))
    assert count_parameters(model.encoder) == encoder
    assert count_parameters(model.decoder) == decoder
    assert count_parameters(model) == encoder + decoder + heads


@pytest.mark.parametrize(
    ("img_size", "options"),
    [
        (32, {}),
        ((24, 32, 40), {}),
        ((19, 30, 33), {}),
        ((9, 32, 32), {"stem_stride": (1, 4, 4), "stage_strides": ((1, 2, 2), 2, 2)}),
        (33, {"stem_stride": 4, "window_size": ((2, 3, 4), 2, 3, 1)}),
    ],
)
def test_any_crop_gives_scores_of_its_own_size(img_size, options):
    model = tiny(img_size=img_size, deep_supervision=True, **options)
    x = crop(*model.img_size, batch=2)
    maps = model.encode(x)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (c, *g) for c, g in zip(model.channels, model.grids, strict=True)
    ]
    full, *coarse = model(x)
    assert full.shape == (2, 3, *model.img_size)
    assert len(coarse) == 2
    assert full.isfinite().all()


def test_padding_voxels_are_zeros_at_the_end():
    model, padded = tiny(img_size=(31, 32, 31)).eval(), tiny(img_size=32).eval()
    x = crop(31, 32, 31)
    whole = torch.nn.functional.pad(x, (0, 1, 0, 0, 0, 1))
    torch.testing.assert_close(model(x), padded(whole)[:, :, :31, :, :31])


@pytest.mark.parametrize("img_size", [32, (19, 30, 33)])
def test_every_parameter_gets_a_gradient(img_size):
    model = tiny(img_size=img_size, deep_supervision=True, drop_path=0.0)
    outputs = model(crop(*model.img_size, batch=2))
    sum(out.square().mean() for out in outputs).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


def test_deep_supervision_gives_a_list_in_training_only():
    model, x = tiny(deep_supervision=True), crop(32, 32, 32)
    assert [tuple(out.shape) for out in model(x)] == [(1, 3, s, s, s) for s in (32, 16, 8)]
    full = model.eval()(x)
    assert full.shape == (1, 3, 32, 32, 32)
    plain = tiny()
    assert plain(x).shape == full.shape
    own, more = plain.state_dict(), model.state_dict()
    assert set(own) < set(more)
    assert all(name.startswith("head.coarse") for name in set(more) - set(own))
    plain.load_state_dict({name: more[name] for name in own})
    torch.testing.assert_close(plain.eval()(x), full)


def test_all_weights_belong_to_encoder_decoder_or_head():
    assert {name.split(".")[0] for name in tiny(deep_supervision=True).state_dict()} == {
        "encoder", "decoder", "head",
    }  # fmt: skip


def test_weights_depend_on_neither_crop_nor_stem():
    shapes = {n: v.shape for n, v in tiny().state_dict().items()}
    other = tiny(img_size=(40, 64, 48))
    assert {n: v.shape for n, v in other.state_dict().items()} == shapes


def test_drop_path_grows_in_equal_steps_over_encoder_and_over_decoder():
    model = tiny(drop_path=0.21)
    encoder = [block.drop_path.rate for stage in model.encoder.stages for block in stage]
    assert encoder == pytest.approx([0.03 * i for i in range(8)])
    pairs = zip(model.decoder.skips, model.decoder.blocks, strict=True)
    decoder = [block.drop_path.rate for pair in pairs for block in pair]
    assert decoder == pytest.approx([0.042 * i for i in range(6)])
    x = crop(32, 32, 32, batch=2)
    torch.manual_seed(0)
    once = model(x)
    assert not torch.equal(model(x), once)
    assert torch.equal(model.eval()(x), model(x))


def test_without_skip_maps_the_decoder_still_paints():
    model = tiny().eval()
    *skips, deepest = model.encode(crop(32, 32, 32))
    bare = model.head(model.decoder([*(torch.zeros_like(s) for s in skips), deepest]))
    assert bare.shape == (1, 3, 32, 32, 32)
    assert not torch.allclose(bare, model.head(model.decoder([*skips, deepest])))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_heads": (1, 2, 4)}, "num_heads needs 4 entries"),
        ({"window_size": (4, 4, 8, 4, 4)}, "window_size needs 4 entries"),
        ({"stage_strides": (2, 2)}, "stage_strides needs 3 entries"),
        ({"stem_stride": 3}, "stem_stride must be 1, 2 or 4"),
        ({"stage_strides": (4, 2, 2)}, "stage_strides 1 or 2"),
        ({"img_size": 12}, "too few to be halved. Use a larger crop"),
        ({"num_heads": (5, 2, 4, 8)}, "multiple of num_heads"),
        ({"drop_path": 1.5}, "drop-path rate"),
        ({"widht": 3}, "takes no widht. Known:"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        tiny(**options)


def test_another_crop_is_refused():
    with pytest.raises(ValueError, match=r"built for crops of \(32, 32, 32\) voxels, got \(32, 32, 24\)"):
        tiny()(crop(32, 32, 24))


def test_compiles_into_one_graph():
    model, x = tiny(img_size=(16, 16, 24)).eval(), crop(16, 16, 24)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))
