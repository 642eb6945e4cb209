"""Supervised segmentation of any architecture: its terms, its deep supervision, and that it learns."""

import pytest
import torch
from torch import nn

from studykit.losses.dice_cross_entropy import dice_and_cross_entropy
from studykit.methods import METHODS, build_method, task_of
from studykit.methods.supervised import Supervised
from studykit.models import MODELS


class Pyramid(nn.Module):
    """Logits of every scale from a pooled image: no more than the interface asks for."""

    version = 1

    def __init__(self, img_size, in_channels=1, num_classes=1, deep_supervision=False):
        super().__init__()
        self.deep_supervision = deep_supervision
        self.encoder = nn.ModuleList(nn.AvgPool3d(2**i) for i in range(3))
        self.head = nn.Conv3d(in_channels, num_classes, 1)

    def encode(self, x):
        return [pool(x) for pool in self.encoder]

    def forward(self, x):
        logits = [self.head(pooled) for pooled in self.encode(x)]
        return logits if self.deep_supervision and self.training else logits[0]


@pytest.fixture(autouse=True)
def pyramid(monkeypatch):
    monkeypatch.setitem(MODELS, "pyramid", Pyramid)


def labelled(batch=2, size=16, classes=3):
    """Images whose class is a threshold of the intensity."""
    image = torch.randn(batch, 1, size, size, size, generator=torch.Generator().manual_seed(0))
    image = nn.functional.avg_pool3d(image, 5, 1, 2) * 5
    return torch.cat([image, (image > 0.2).float() + (image > 0.8).float() * (classes - 2)], dim=1)


def build(model="pyramid", **options):
    torch.manual_seed(0)
    return build_method("supervised", model=model, num_classes=3, img_size=16, **options)


def test_it_is_registered_for_segmentation():
    assert METHODS["supervised"] is Supervised and task_of("supervised") == "segmentation"
    assert Supervised.architecture in MODELS


def test_terms_are_the_weighted_losses_of_the_image_alone():
    method, batch = build(dice_weight=0.5, cross_entropy_weight=2.0), labelled()
    dice, cross_entropy = dice_and_cross_entropy(method.model(batch[:, :1]), batch[:, 1].long())
    terms = method(batch, method.draw_masks(2, torch.Generator()))
    assert list(terms) == ["dice", "cross_entropy"]
    torch.testing.assert_close(terms, {"dice": 0.5 * dice, "cross_entropy": 2 * cross_entropy})
    torch.testing.assert_close(terms, method.loss_terms(batch, torch.Generator()))


def test_deep_supervision_is_monais_with_weights_that_add_up_to_one():
    from monai.losses import DeepSupervisionLoss, DiceCELoss

    method, batch = build(deep_supervision=True), labelled()
    batch[:, 1, :4, :4, :4] = 1
    batch[:, 1, 4:8, :4, :4] = 2
    outputs = method.model(batch[:, :1])
    assert len(outputs) == 3
    plain = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True, smooth_nr=0, smooth_dr=0)
    expected = DeepSupervisionLoss(plain, weight_mode="exp")(outputs, batch[:, 1:]) / 1.75
    torch.testing.assert_close(sum(method(batch).values()), expected)
    method.eval()
    single = sum(dice_and_cross_entropy(method.model(batch[:, :1]), batch[:, 1]))
    torch.testing.assert_close(sum(method(batch).values()), single)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_mix_of_cross_entropy_and_dice_is_monais(weight):
    """λ·CE + (1 − λ)·Dice, as MONAI weighs them, where every sample has every class."""
    from monai.losses import DiceCELoss

    method, batch = build(cross_entropy_weight=weight, dice_weight=1 - weight), labelled()
    batch[:, 1, :4, :4, :4] = 1
    batch[:, 1, 4:8, :4, :4] = 2
    loss = DiceCELoss(
        include_background=False, softmax=True, to_onehot_y=True, smooth_nr=0, smooth_dr=0,
        lambda_ce=weight, lambda_dice=1 - weight,
    )  # fmt: skip
    torch.testing.assert_close(sum(method(batch).values()), loss(method.model(batch[:, :1]), batch[:, 1:]))


def test_terms_are_means_over_the_batch():
    method, batch = build(deep_supervision=True), labelled(4)
    whole = torch.stack([*method(batch).values()])
    parts = torch.stack([torch.stack([*method(part).values()]) for part in batch.split(1)])
    torch.testing.assert_close(whole, parts.mean(dim=0))


def test_unlabelled_voxels_do_not_count():
    method, batch = build(), labelled()
    batch[:, 1, :8] = -1
    changed = batch.clone()
    changed[:, 0, :8] += 3.0
    torch.testing.assert_close(method(batch), method(changed))


def test_nothing_is_drawn_and_masks_divide_like_batches():
    method, generator = build(), torch.Generator().manual_seed(3)
    before = generator.get_state()
    masks = method.draw_masks(6, generator, labelled(2), slice(1, 5))
    assert masks.shape == (4, 0) and masks.dtype == torch.bool
    assert [part.shape for part in masks.chunk(2)] == [(2, 0), (2, 0)]
    assert torch.equal(generator.get_state(), before)


def test_segment_gives_the_finest_logits_and_encode_the_maps():
    method, batch = build(deep_supervision=True), labelled()
    assert method.segment(batch[:, :1]).shape == (2, 3, 16, 16, 16)
    assert torch.equal(method.segment(batch[:, :1]), method.eval().segment(batch[:, :1]))
    assert [tuple(m.shape[1:]) for m in method.encode(batch[:, :1])] == [(1, n, n, n) for n in (16, 8, 4)]


def test_a_small_unet_learns_a_threshold():
    method, batch = build("unet", channels=(4, 8)), labelled()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        total = sum(method(batch).values())
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < 0.6 * losses[0]
    found = method.segment(batch[:, :1]).argmax(dim=1)
    assert float((found == batch[:, 1]).float().mean()) > 0.8


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="background and at least one more, got 1"):
        build_method("supervised", model="pyramid", num_classes=1, img_size=16)
    for weights in ({"dice_weight": -1.0}, {"dice_weight": 0.0, "cross_entropy_weight": 0.0}):
        with pytest.raises(ValueError, match="must not be negative nor both 0"):
            build(**weights)
    with pytest.raises(ValueError, match=r"labelled crops, \(B, 2, D, H, W\).*got \(2, 1, 16"):
        build()(labelled()[:, :1])
    with pytest.raises(ValueError, match=r"takes no depth\. Known: img_size"):
        build("unet", depth=3)
