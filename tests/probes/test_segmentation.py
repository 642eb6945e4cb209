"""A head of slabs, segmented by a head that learned on another one."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from studykit.data.volumes.cache import PreparedVolume
from studykit.layers.patches import patchify
from studykit.methods import build_method
from studykit.probes.segmentation import (
    SCORED,
    ProbeSettings,
    TokenHead,
    segment_both_ways,
    tiled_head,
    tiled_heads,
    train_segmenter,
)
from studykit.probes.tissues import TISSUES

CROP, PATCH = 12, 2
IDS = np.array([0, 1024, 41, 4, 10])
"""FreeSurfer: no label, cortex, white matter, ventricle, thalamus."""
QUICK = ProbeSettings(frozen_steps=40, fine_tuned_steps=12, batch_size=4, warmup_steps=2)


def head(seed, shape=(14, 17, 25), spacing=(1.0, 1.0, 3.0)):
    """Slabs of one tissue after the other along Z, brighter from one to the next, in air."""
    rng = np.random.default_rng(seed)
    tissue = np.broadcast_to(np.arange(shape[2]) // 5, shape).copy()
    foreground = np.zeros(shape, bool)
    foreground[1:-1, 1:-1] = True
    tissue[~foreground] = 0
    image = np.where(foreground, tissue + 1.0, 0.0) + 0.1 * rng.normal(size=shape)
    affine = np.diag([*spacing, 1.0])
    return PreparedVolume(f"head{seed}", image.astype(np.float32), foreground, IDS[tissue], affine, "T1w", "")


@pytest.fixture(scope="module")
def heads():
    return [tiled_head(head(seed), "freesurfer", CROP) for seed in (0, 1)]


class Brightness(nn.Module):
    """Tokens that say how near a patch is to the brightness of each slab; a weight scales them."""

    grid = (CROP // PATCH,) * 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls = 0

    def encode(self, volume):
        self.calls += 1
        mean = patchify(volume, PATCH).mean(dim=(2, 3, 4, 5))
        return self.scale * torch.exp(-4 * (mean[..., None] - torch.arange(1, 6)).square())


class Shuffled(Brightness):
    """The same tokens, each at the place of another one."""

    def encode(self, volume):
        tokens = super().encode(volume)
        order = torch.randperm(tokens.shape[:2].numel(), generator=torch.Generator().manual_seed(0))
        return tokens.flatten(0, 1)[order].view_as(tokens)


class Dropping(Brightness):
    def encode(self, volume):
        return F.dropout(super().encode(volume), 0.5, self.training)


def net():
    torch.manual_seed(0)
    return build_method(
        "bertswin", img_size=CROP, patch_size=4, embed_dim=48, depth=1, num_heads=2, window_size=3
    )


def test_a_tiled_head_holds_every_voxel_with_its_class_and_spacing(heads):
    tiled = heads[0]
    assert tiled.shape == (25, 17, 14) and tiled.spacing_mm == (3.0, 1.0, 1.0)
    assert tiled.crops.shape == (3 * 2 * 2, 1, CROP, CROP, CROP) and tiled.classes.shape == (12, *[CROP] * 3)
    counts = torch.bincount(tiled.classes[tiled.classes >= 0], minlength=len(TISSUES))
    assert counts.tolist() == [12 * 15 * 5] * 5
    for tissue in range(5):
        assert abs(float(tiled.crops[:, 0][tiled.classes == tissue].mean()) - (tissue + 1)) < 0.05


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned"])
def test_features_that_hold_the_class_segment_the_other_head_and_shuffled_ones_do_not(heads, mode):
    settings = replace(QUICK, fine_tuned_steps=40, fine_tuned_lr=0.1)
    scores = segment_both_ways(heads, Brightness(), settings, mode=mode, seed=0)
    blind = segment_both_ways(heads, Shuffled(), settings, mode=mode, seed=0)
    assert list(scores) == ["head1", "head0"]
    for subject, score in scores.items():
        assert tuple(score.dice) == SCORED
        assert score.mean_dice > 0.85 > 0.4 > blind[subject].mean_dice
        assert score.mean_hd95 < blind[subject].mean_hd95 / 2


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned"])
def test_the_callers_method_stays_as_it_was(heads, mode):
    method = net().train().requires_grad_(False)
    before = copy.deepcopy(method.state_dict())
    segmenter = train_segmenter(
        heads[0], method, QUICK, mode=mode, generator=torch.Generator().manual_seed(0)
    )
    assert method.training and not any(p.requires_grad for p in method.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    trained = segmenter.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], trained[name])}
    assert any(name.startswith("model.stem") for name in moved) == (mode == "fine-tuned")
    assert not any(name.startswith("model.decoder") for name in moved)
    if mode == "frozen":
        assert not moved


def test_a_frozen_encoder_sees_the_training_tiles_once(heads):
    method = Brightness()
    segmenter = train_segmenter(
        heads[0], method, QUICK, mode="frozen", generator=torch.Generator().manual_seed(0)
    )
    assert segmenter.encoder.calls == 1 and method.calls == 0


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned"])
def test_results_repeat_with_the_seed_and_change_with_it(heads, mode):
    maps = []
    for seed in (0, 0, 1):
        torch.rand(3)
        generator = torch.Generator().manual_seed(seed)
        segmenter = train_segmenter(
            heads[0], net(), replace(QUICK, frozen_steps=12), mode=mode, generator=generator
        )
        maps.append((segmenter.predict(heads[1]), segmenter.head.linear.weight.detach()))
    assert torch.equal(maps[0][0], maps[1][0]) and torch.equal(maps[0][1], maps[1][1])
    assert not torch.equal(maps[0][1], maps[2][1])


def test_both_modes_encode_without_dropout(heads):
    scores = [
        segment_both_ways(heads, method.train(), QUICK, mode=mode, seed=0)
        for method in (Brightness(), Dropping())
        for mode in ("frozen", "fine-tuned")
    ]
    assert scores[0] == scores[2] and scores[1] == scores[3]


def test_a_tile_without_a_class_teaches_nothing(heads):
    trained = []
    for values in ([], [0.0], [1e3]):
        air = torch.tensor(values).view(-1, 1, 1, 1, 1).expand(-1, 1, CROP, CROP, CROP)
        classes = torch.full((len(values), CROP, CROP, CROP), -1)
        tiled = replace(
            heads[0],
            crops=torch.cat([air, heads[0].crops]),
            classes=torch.cat([classes, heads[0].classes]),
        )
        generator = torch.Generator().manual_seed(0)
        trained.append(train_segmenter(tiled, Brightness(), QUICK, mode="frozen", generator=generator))
    for other in trained[1:]:
        assert torch.equal(trained[0].head.linear.weight, other.head.linear.weight)


def test_tokens_are_standardised_by_those_whose_patch_has_a_class(heads):
    segmenter = train_segmenter(
        heads[0], Brightness(), QUICK, mode="frozen", generator=torch.Generator().manual_seed(0)
    )
    patches = patchify(heads[0].classes[:, None], PATCH).flatten(2)
    tokens = Brightness().encode(heads[0].crops)[(patches >= 0).any(dim=2)]
    assert len(tokens) < patches[..., 0].numel()
    torch.testing.assert_close(segmenter.head.mean, tokens.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(1 / segmenter.head.scale, tokens.std(0, correction=0), rtol=1e-5, atol=1e-6)


def test_the_global_random_state_is_not_touched(heads):
    before = torch.get_rng_state()
    segment_both_ways(heads, Brightness(), replace(QUICK, frozen_steps=4), mode="frozen", seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_head_interpolates_trilinearly_and_ignores_what_does_not_vary():
    generator = torch.Generator().manual_seed(0)
    tokens = 5 + 3 * torch.randn(4, 24, 6, generator=generator)
    tokens[..., 2] = 7.7
    read = TokenHead(tokens.flatten(0, 1), (2, 3, 4), (8, 12, 12))
    assert not read(tokens).any()
    nn.init.normal_(read.linear.weight, generator=generator)
    flat = tokens.flatten(0, 1)
    standard = (tokens - flat.mean(0)) / flat.std(0, correction=0)
    standard[..., 2] = 0
    logits = read.linear(standard).transpose(1, 2).unflatten(2, (2, 3, 4))
    expected = F.interpolate(logits, (8, 12, 12), mode="trilinear", align_corners=False)
    torch.testing.assert_close(read(tokens), expected, rtol=1e-4, atol=1e-4)
    tokens[..., 2] = 100.0
    torch.testing.assert_close(read(tokens), expected, rtol=1e-4, atol=1e-4)


def test_bad_calls_are_refused(heads):
    with pytest.raises(ValueError, match=r"Unknown mode 'tuned'. Known: frozen, fine-tuned"):
        segment_both_ways(heads, Brightness(), QUICK, mode="tuned", seed=0)
    with pytest.raises(ValueError, match=r"needs two heads, got \['head0'\]"):
        segment_both_ways(heads[:1], Brightness(), QUICK, mode="frozen", seed=0)
    empty = replace(heads[0], classes=torch.full_like(heads[0].classes, -1))
    with pytest.raises(ValueError, match="head0 has no voxel of a class"):
        train_segmenter(empty, Brightness(), QUICK, mode="frozen", generator=torch.Generator())


@pytest.mark.parametrize(
    "bad", [{"batch_size": 0}, {"frozen_steps": 0}, {"warmup_steps": 12}, {"encoder_lr": 0.0}]
)
def test_settings_that_no_training_can_have_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(QUICK, **bad)


@pytest.mark.network
def test_the_sample_heads_have_every_class_at_the_asked_spacing():
    for tiled, subject in zip(tiled_heads(4.0, 32), ("Pitt_50038", "Colin27"), strict=True):
        assert tiled.subject == subject and tiled.spacing_mm == pytest.approx((4.0, 4.0, 4.0))
        counts = torch.bincount(tiled.classes[tiled.classes >= 0], minlength=len(TISSUES))
        assert (counts > 100).all(), counts.tolist()
