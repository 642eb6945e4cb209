"""MiM: no leak, each level's part in the loss, alignment, comparable reconstruction, countable operations."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from studykit.layers.visibility import hide
from studykit.losses.alignment import info_nce
from studykit.losses.nested import block_mean_error
from studykit.masking import random_patch_mask, upsample_mask
from studykit.methods import build_method
from studykit.methods.mim import OnePassMim, ThreeLevelMim
from studykit.methods.mim_masks import MASKINGS
from studykit.methods.mim_views import ThreeLevelMasks, three_level_views
from studykit.metrics.compute import count_flops
from studykit.models import MODELS
from studykit.models.encoder_decoder import EncoderDecoder

SIZE, CELL = 16, 4


class Stages(nn.Module):
    """Three convolutions at strides 1, 2 and 4, hidden places set to zero after each."""

    def __init__(self, channels):
        super().__init__()
        widths = (1, *channels)
        self.layers = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=1 if i == 0 else 2, padding=1)
            for i, (a, b) in enumerate(pairwise(widths))
        )

    def forward(self, x, visible=None):
        maps = []
        for layer in self.layers:
            x = hide(F.gelu(layer(hide(x, visible))), visible)
            maps.append(x)
        return maps


class DenseStages(Stages):
    def forward(self, x):
        return super().forward(x)


class Tiny(EncoderDecoder):
    """The least that the methods ask of an architecture."""

    version = 1
    sparse = True
    stages = Stages

    def __init__(self, img_size, in_channels=1, num_classes=1, channels=(4, 6, 8)):
        super().__init__()
        self.channels, self.strides = tuple(channels), tuple((2**i,) * 3 for i in range(3))
        self.encoder = self.stages(channels)
        self.decoder, self.head = nn.Conv3d(4, 4, 1), nn.Conv3d(4, num_classes, 1)


class DenseTiny(Tiny):
    sparse = False
    stages = DenseStages


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", Tiny)
    monkeypatch.setitem(MODELS, "dense-tiny", DenseTiny)


def make(masking="nested", model="tiny", **options):
    torch.manual_seed(0)
    return build_method("mim", model=model, masking=masking, img_size=SIZE, decoder_width=16, **options)


def crops(method, batch=2, seed=0):
    size = 2 * SIZE if method.masking.__class__ is MASKINGS["three-level"] else SIZE
    return torch.rand(batch, 2, size, size, size, generator=torch.Generator().manual_seed(seed)) - 0.3


def masks(method, volume, seed=1):
    return method.draw_masks(len(volume), torch.Generator().manual_seed(seed), volume.clamp(min=0))


@pytest.mark.parametrize("masking", sorted(MASKINGS))
def test_the_masking_decides_the_form(masking):
    assert type(make(masking)) is (ThreeLevelMim if masking == "three-level" else OnePassMim)


@pytest.mark.parametrize("masking", sorted(MASKINGS))
@pytest.mark.parametrize("objective", ["infonce", "cosine"])
def test_every_masking_trains_every_parameter(masking, objective):
    method = make(masking, alignment=0.1, alignment_options={"objective": objective})
    terms = method(crops(method), masks(method, crops(method)))
    expected = {"reconstruction", "alignment"} | ({"coarse"} if masking == "nested" else set())
    assert set(terms) == expected
    assert all(term.ndim == 0 and term > 0 for term in terms.values())
    sum(terms.values()).backward()
    assert not [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("model", ["tiny", "dense-tiny"])
def test_hidden_voxels_reach_neither_prediction_nor_gradient(model):
    method = make("random", model)
    volume = crops(method)[:, :1].requires_grad_()
    mask = masks(method, volume)
    hidden = upsample_mask(mask, CELL)
    changed = torch.where(hidden, 100.0, volume)
    painted = [method.reconstruct(x, mask)[hidden] for x in (volume, changed)]
    assert torch.equal(*painted)
    method._paint(volume, mask)[1].square().sum().backward()
    assert volume.grad[hidden].abs().max() == 0 and volume.grad[~hidden].abs().max() > 0


def test_a_dense_encoder_sees_zeros_a_sparse_one_nothing():
    sparse, dense = make("random"), make("random", "dense-tiny")
    dense.load_state_dict(sparse.state_dict())
    assert sparse.sparse and not dense.sparse
    volume = crops(sparse)[:, :1]
    mask = masks(sparse, volume)
    one, other = (method._paint(volume, mask)[0][-1] for method in (sparse, dense))
    visible = ~mask[:, None].expand_as(one)
    assert one[~visible].abs().max() == 0 and other[~visible].abs().max() > 0
    assert torch.equal(sparse.encode(volume)[-1], dense.encode(volume)[-1])


@pytest.mark.parametrize("masking", ["random", "nested"])
def test_reconstruction_is_the_mean_squared_error_of_hidden_voxels(masking):
    method = make(masking)
    volume = crops(method)[:, :1]
    mask = masks(method, volume)
    plain = mask if masking == "random" else mask[:, 1]
    hidden = upsample_mask(plain, CELL)
    painted = method.reconstruct(volume, plain)
    assert torch.equal(painted[~hidden], volume[~hidden])
    torch.testing.assert_close(
        method(volume, mask)["reconstruction"], (painted - volume)[hidden].square().mean()
    )


def test_under_nested_masks_the_encoder_sees_what_the_fine_mask_opens_again():
    method = make("nested")
    volume = crops(method)[:, :1]
    coarse, fine = masks(method, volume).unbind(1)
    opened = upsample_mask(coarse & ~fine, CELL)
    changed = torch.where(opened, volume + 1, volume)
    assert opened.any()
    assert not torch.equal(method.reconstruct(volume, fine), method.reconstruct(changed, fine))


def test_each_level_of_nested_masks_changes_the_loss():
    method = make("nested", coarse_weight=0.5)
    volume = crops(method)
    mask = masks(method, volume)
    coarse, fine = mask.unbind(1)
    terms = method(volume, mask)
    prediction = method._paint(volume[:, :1], fine)[1]
    torch.testing.assert_close(terms["coarse"], 0.5 * block_mean_error(prediction, volume[:, :1], coarse, 2))
    other_fine = masks(method, volume, seed=2)[:, 1]
    second = method(volume, torch.stack([coarse, other_fine], dim=1))
    assert all(second[name] != terms[name] for name in ("reconstruction", "coarse"))
    first = method(volume, torch.stack([~coarse, fine], dim=1))
    assert first["reconstruction"] == terms["reconstruction"] and first["coarse"] != terms["coarse"]
    assert set(make("nested", coarse_weight=0.0)(volume, mask)) == {"reconstruction"}


def test_three_levels_add_up_their_errors_each_over_its_hidden_patches():
    method = make("three-level")
    volume = crops(method)
    packed = masks(method, volume)
    levels = ThreeLevelMasks.unpack(packed, 4)
    views = three_level_views(volume[:, :1], levels)
    total = 0
    for view, mask in zip(
        views, (levels.up, levels.mid.flatten(0, 1), levels.down.flatten(0, 1)), strict=True
    ):
        painted = method.reconstruct(view, mask)
        total += (painted - view)[upsample_mask(mask, CELL)].square().mean()
    torch.testing.assert_close(method(volume, packed)["reconstruction"], total)


def test_views_are_aligned_with_what_the_encoder_says_of_their_place_when_it_is_shown():
    """Brute force over views: the mean of a child's visible cells against the parent's cells at its place."""
    method = make("three-level", alignment=1.0).eval()
    method.alignment.heads[0] = nn.Identity()
    volume = crops(method)
    packed = masks(method, volume)
    levels = ThreeLevelMasks.unpack(packed, 4)
    views = three_level_views(volume[:, :1], levels)
    children = []
    for view, mask in ((views.mid, levels.mid), (views.down, levels.down)):
        hidden = mask.flatten(0, 1)
        coarsest = method._paint(view, hidden)[0][-1]
        children.append([cells[:, ~h].mean(1) for cells, h in zip(coarsest, hidden, strict=True)])
    up, mid = (method.encode(view)[-1] for view in (views.up, views.mid))
    octants = [
        up[b, :, 2 * d : 2 * d + 2, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2].mean((1, 2, 3))
        for b, d, h, w in levels.up[:, ::2, ::2, ::2].nonzero().tolist()
    ]
    cells = [mid[4 * b + m, :, d, h, w] for b, m, d, h, w in levels.enlarged.nonzero().tolist()]
    expected = sum(
        info_nce(torch.stack(child), torch.stack(parent)).item()
        for child, parent in zip(children, (octants, cells), strict=True)
    )
    assert method(volume, packed)["alignment"].item() == pytest.approx(expected, rel=1e-5)


def test_alignment_is_weighted_and_left_out_at_zero():
    method = make("random", alignment=0.2)
    volume = crops(method)
    mask = masks(method, volume)
    maps = method._paint(volume[:, :1], mask)[0]
    torch.testing.assert_close(method(volume, mask)["alignment"], 0.2 * method.alignment(maps, ~mask))
    assert set(make("random")(volume, mask)) == {"reconstruction"}


def test_compiled_the_pipeline_is_one_graph_for_all_masks():
    method = build_method(
        "mim", img_size=16, widths=(16, 16), levels=(1, 0), depth=1, decoder_width=8, alignment=0.1
    ).eval()
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        compiled = torch.compile(method, backend="eager", fullgraph=True)
        for seed in (1, 2):
            generator = torch.Generator().manual_seed(seed)
            x, mask = torch.randn(2, 1, 16, 16, 16, generator=generator), method.draw_masks(2, generator)
            torch.testing.assert_close(compiled(x, mask), method(x, mask))


@pytest.mark.parametrize("masking", sorted(MASKINGS))
def test_all_maskings_paint_the_same_plain_masks(masking):
    """With the same weights every arm reconstructs alike: what is compared is training alone."""
    method, reference = make(masking), make("random")
    method.load_state_dict(reference.state_dict())
    volume = torch.rand(2, 1, SIZE, SIZE, SIZE)
    mask = random_patch_mask(method.grid, 0.6, 2, torch.Generator().manual_seed(5))
    assert method.grid == (4, 4, 4)
    assert torch.equal(method.reconstruct(volume, mask), reference.reconstruct(volume, mask))


def test_a_larger_volume_is_painted_tile_by_tile():
    method = make("random")
    volume = torch.rand(1, 1, 2 * SIZE, SIZE, SIZE)
    mask = random_patch_mask((8, 4, 4), 0.6, 1, torch.Generator().manual_seed(5))
    halves = [method.reconstruct(volume[:, :, s], mask[:, g]) for s, g in
              ((slice(0, 16), slice(0, 4)), (slice(16, 32), slice(4, 8)))]  # fmt: skip
    torch.testing.assert_close(method.reconstruct(volume, mask), torch.cat(halves, 2))


def test_normalised_targets_are_painted_back_in_intensities():
    method = make("random", normalise_target=True)
    volume = 40 * crops(method)[:, :1] + 300
    mask = masks(method, volume)
    method.decoder.forward = lambda maps, visible: torch.zeros(2, 1, SIZE, SIZE, SIZE)
    painted = method.reconstruct(volume, mask)
    means = F.interpolate(F.avg_pool3d(volume, CELL), scale_factor=CELL)
    torch.testing.assert_close(painted, torch.where(upsample_mask(mask, CELL), means, volume))
    assert float(method(volume, mask)["reconstruction"]) == pytest.approx(1.0, abs=1e-3)


def test_the_generator_decides_the_loss_and_labels_are_not_seen():
    method = make("nested")
    volume = crops(method)
    loss = lambda x, seed: method.loss_terms(x, torch.Generator().manual_seed(seed))["reconstruction"]  # noqa: E731
    assert loss(volume, 0) == loss(volume, 0) == loss(volume[:, :1], 0)
    assert loss(volume, 0) != loss(volume, 1)


def test_other_losses_on_the_hidden_patches():
    volume = crops(make("nested"))
    method = make("nested", loss="mvc", loss_options={"sub_patch": 4})
    assert method(volume, masks(method, volume))["reconstruction"] > 0


@pytest.mark.parametrize("masking", ["nested", "three-level"])
def test_under_bfloat16_autocast_terms_stay_in_float32(masking):
    method = make(masking, alignment=0.1)
    volume = crops(method)
    mask = masks(method, volume)
    exact = method(volume, mask)
    with torch.autocast("cpu", torch.bfloat16):
        terms = method(volume, mask)
    sum(terms.values()).backward()
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], atol=0.05, rtol=0.05)


def test_operations_of_a_step_are_counted_without_computing_it():
    """21 views against one pass over a crop of their size; alignment adds heads and the parents' passes."""

    def operations(masking, **options):
        method = make(masking, **options)
        size = crops(method).shape[-1]
        mask = method.draw_masks(1, torch.Generator().manual_seed(0))
        return count_flops(method, (1, 1, size, size, size), mask=mask).total

    one = operations("nested")
    assert operations("three-level") == 21 * one
    assert operations("three-level", alignment=0.1) > 21 * one
    assert operations("nested", alignment=0.1) > one


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Known: nested, random, three-level, vessel"):
        make("block")
    with pytest.raises(ValueError, match="takes no mask_ratio"):
        make("nested", masking_options={"mask_ratio": 0.5})
    with pytest.raises(ValueError, match="have no block means"):
        make("nested", normalise_target=True)
    with pytest.raises(ValueError, match=r"crops of \(32, 32, 32\) voxels"):
        method = make("three-level")
        method(torch.zeros(1, 1, 16, 16, 16), masks(method, crops(method, 1)))
    with pytest.raises(ValueError, match="does not divide into blocks"):
        make("nested", masking_options={"coarse_block": 3})


@pytest.mark.parametrize("model", ["wave-unet", "residual-unet"])
def test_on_real_architectures_nothing_leaks_and_all_is_trained(model):
    torch.manual_seed(0)
    sizes = {"widths": (16, 32)} | ({"levels": (1, 0), "depth": 1} if model == "wave-unet" else {"depths": 1})
    method = build_method("mim", model=model, img_size=16, alignment=0.1, decoder_width=16, **sizes)
    volume = crops(method)[:, :1]
    mask = masks(method, volume)
    terms = method(volume, mask)
    sum(terms.values()).backward()
    assert not [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    hidden = upsample_mask(mask[:, 1], method.patch_size)
    changed = torch.where(hidden, 100.0, volume)
    painted = [method.eval().reconstruct(x, mask[:, 1])[hidden] for x in (volume, changed)]
    assert torch.equal(*painted)
