"""Dice loss (soft, Milletari et al. 2016) plus cross-entropy, with voxels left out."""

import torch
from torch import Tensor

LEFT_OUT = -1


def class_weights(classes: Tensor, num_classes: int) -> Tensor:
    """Weight of each class in the cross-entropy: one over the square root of its share of the voxels.

    Unweighted, a linear head hardly finds the smallest class, and a missed class costs the whole diagonal in
    HD95; weights that balance the classes in full draw small ones too large. This lies between. A class that
    is not there has weight 0.

    >>> class_weights(torch.tensor([0, 0, 0, 1, -1]), 3)
    tensor([1.1547, 2.0000, 0.0000])

    Args:
        classes: int64, any shape, -1 where a voxel is left out.

    Returns:
        float32 (num_classes,).
    """
    counts = torch.bincount(classes[classes != LEFT_OUT], minlength=num_classes).float()
    return torch.where(counts > 0, (counts.sum() / counts).sqrt(), 0.0)


def dice_cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Dice loss plus weighted mean cross-entropy over the voxels that have a class.

    Dice is taken over the whole batch, then averaged over the classes that are in it: a small class that is
    in no voxel of a batch is left to the cross-entropy.

    >>> classes = torch.randint(2, (1, 4, 4, 4))
    >>> sure = 50 * torch.stack([1 - classes, classes], dim=1).float()
    >>> round(float(dice_cross_entropy(sure, classes, torch.ones(2))), 4)
    0.0

    Args:
        logits: (B, K, D, H, W).
        classes: int64 (B, D, H, W), -1 where a voxel is left out; one voxel at least is not.
        weights: (K,), of the cross-entropy.
    """
    known = (classes != LEFT_OUT)[:, None]
    labels = torch.arange(len(weights), device=classes.device).view(-1, 1, 1, 1)
    truth = (classes[:, None] == labels).float()
    log_probability = logits.log_softmax(dim=1)
    probability = log_probability.exp()
    voxels = (0, 2, 3, 4)
    present = truth.sum(voxels)
    overlap, predicted = (probability * truth).sum(voxels), (probability * known).sum(voxels)
    dice = (2 * overlap / (predicted + present).clamp(min=1e-6))[present > 0].mean()
    cross_entropy = -(weights * (log_probability * truth).sum(voxels)).sum() / (weights * present).sum()
    return 1 - dice + cross_entropy


def dice_and_cross_entropy(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Dice loss and cross-entropy, each a mean over the samples, whatever part of a batch they come in.

    Dice is taken in each sample and averaged over the classes but the background that are in it; where there
    is none, its loss is 0. Cross-entropy is the mean over a sample's voxels, background included. Where every
    class is in every sample, their sum is MONAI's ``DiceCELoss(include_background=False)`` without smoothing.

    >>> classes = torch.zeros(1, 4, 4, 4)
    >>> classes[:, :2] = 1
    >>> dice, cross_entropy = dice_and_cross_entropy(torch.zeros(1, 2, 4, 4, 4), classes)
    >>> round(float(dice), 4), round(float(cross_entropy), 4)  # every voxel at one half
    (0.5, 0.6931)

    Args:
        logits: (B, K, D, H, W), class 0 the background; taken to float32.
        classes: (B, D, H, W) whole numbers, -1 where a voxel is left out.
    """
    known = (classes != LEFT_OUT)[:, None]
    labels = torch.arange(logits.shape[1], device=classes.device).view(-1, 1, 1, 1)
    truth = classes[:, None] == labels
    log_probability = logits.float().log_softmax(dim=1)
    likelihood = torch.where(truth, log_probability, 0.0).sum(dim=(1, 2, 3, 4))
    cross_entropy = -likelihood / known.sum(dim=(1, 2, 3, 4)).clamp(min=1)
    probability, truth = log_probability[:, 1:].exp() * known, truth[:, 1:]
    voxels = (2, 3, 4)
    present = truth.sum(voxels)
    overlap, predicted = (probability * truth).sum(voxels), probability.sum(voxels)
    missed = 1 - 2 * overlap / (predicted + present).clamp(min=1)
    dice = torch.where(present > 0, missed, 0.0).sum(dim=1) / (present > 0).sum(dim=1).clamp(min=1)
    return dice.mean(), cross_entropy.mean()
