"""Classification of whole crops: its loss, subjects without a label, a frozen encoder, and that it learns."""

import pytest
import torch
import torch.nn.functional as F

from studykit.methods import METHODS, build_method
from studykit.methods.classification import Classifier

VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2}


def built(**options):
    torch.manual_seed(0)
    return build_method("classification", **{**VIT, **options})


def batch(classes, seed=0):
    """Noise, brighter in the middle the higher the class; the class in every voxel of the second channel."""
    volumes = torch.empty(len(classes), 2, 16, 16, 16)
    volumes[:, 0] = torch.randn(len(classes), 16, 16, 16, generator=torch.Generator().manual_seed(seed))
    for row, number in enumerate(classes):
        volumes[row, 1] = number
        volumes[row, 0, 4:12, 4:12, 4:12] += 2 * max(number, 0)
    return volumes


def test_it_is_registered():
    assert METHODS["classification"] is Classifier and Classifier.task == "classification"


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_cross_entropy_of_labelled_subjects(smoothing):
    method, volumes = built(num_classes=3, label_smoothing=smoothing), batch([2, -1, 0, 1])
    labelled = [0, 2, 3]
    log = method.model(volumes[labelled, :1]).log_softmax(dim=1)
    wanted = F.one_hot(torch.tensor([2, 0, 1]), 3) * (1 - smoothing) + smoothing / 3
    expected = -(wanted * log).sum(dim=1).mean()
    terms = method.loss_terms(volumes, torch.Generator())
    assert list(terms) == list(method.terms) == ["cross_entropy"]
    torch.testing.assert_close(terms["cross_entropy"], expected)


def test_a_batch_without_a_label_has_nothing_to_say():
    loss = built()(batch([-1, -1]))["cross_entropy"]
    loss.backward()
    assert loss == 0


def test_a_frozen_encoder_neither_moves_nor_drops():
    method = built(frozen=True).train()
    assert not method.model.encoder.training and method.model.head.training
    method(batch([0, 1]))["cross_entropy"].backward()
    assert all(parameter.grad is None for parameter in method.model.encoder.parameters())
    assert all(parameter.grad is not None for parameter in method.model.head.parameters())
    assert not method.eval().model.head.training


@pytest.mark.parametrize("frozen", [False, True])
def test_it_learns(frozen):
    method, classes = built(frozen=frozen, pool="mean"), [0, 1] * 8
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    for step in range(40):
        optimizer.zero_grad()
        method(batch(classes, seed=step))["cross_entropy"].backward()
        optimizer.step()
    scores = method.eval().score(batch(classes, seed=1000)[:, :1])
    assert scores.shape == (16, 2) and not scores.requires_grad
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(16))
    assert (scores.argmax(dim=1) == torch.tensor(classes)).float().mean() > 0.9


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="needs labelled crops"):
        built()(torch.zeros(2, 1, 16, 16, 16))
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got 1"):
        built(label_smoothing=1)
