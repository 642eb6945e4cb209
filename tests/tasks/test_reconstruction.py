"""The held-out error of a pre-training: hidden voxels alone, mean over subjects, and its parts."""

import pytest
import torch
from tiny_run import config
from torch import nn

from studykit.runs.weights import new_method, trained_method
from studykit.tasks import reconstruction
from studykit.tasks.reconstruction import hidden_error, hidden_parts, paint


class Adds(nn.Module):
    """Its reconstruction is off by ``offset`` in hidden patches, and by far more in visible ones."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def reconstruct(self, volume, mask):
        hidden = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, None]
        ramp = torch.arange(volume.shape[-1], dtype=volume.dtype)
        return volume + torch.where(hidden, self.offset + ramp, 100.0)


def test_hidden_error_by_hand():
    crops = torch.randn(3, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    masks[0, 0, 0, 0] = True  # hides x = 0, 1: offsets 2, 3
    masks[1, :, :, 1] = True  # hides x = 2, 3: offsets 4, 5
    masks[2] = True  # hides all
    expected = torch.tensor([(4 + 9) / 2, (16 + 25) / 2, (4 + 9 + 16 + 25) / 4])
    for batch_size in (1, 2, 5):
        painted = paint(Adds(2.0), crops, masks, batch_size)
        torch.testing.assert_close(hidden_error(painted, crops, masks), expected)


def test_the_validation_error_is_the_mean_over_subjects_of_their_crops(small):
    run = small.execute(config(recipe=small.recipe))
    last = run.metrics.iloc[-1]
    method = trained_method(run)
    crops, subjects = reconstruction.held_out_crops(small.prepared, small.recipe)
    masks = reconstruction.held_out_masks(method, small.recipe, len(crops))
    errors = hidden_error(paint(method, crops, masks, 2), crops, masks)
    assert subjects == [name for name in small.recipe.held_out for _ in range(2)]
    by_subject = {
        name: errors[[i for i, s in enumerate(subjects) if s == name]].mean().item() for name in set(subjects)
    }
    for name, error in by_subject.items():
        assert last[f"val/error/{name}"] == pytest.approx(error, rel=1e-5)
    assert last["val/error"] == pytest.approx(sum(by_subject.values()) / len(by_subject), rel=1e-5)


def test_the_parts_of_the_error_add_up_to_it(small):
    method = new_method(config(recipe=small.recipe))
    crops, _ = reconstruction.held_out_crops(small.prepared, small.recipe)
    masks = reconstruction.held_out_masks(method, small.recipe, len(crops))
    painted = paint(method, crops, masks, 2)
    parts = hidden_parts(painted, crops, masks)
    together = parts["brightness"] + parts["contrast"] + parts["structure"]
    assert together == pytest.approx(hidden_error(painted, crops, masks).mean().item(), rel=1e-4)
    assert 0 <= parts["decorrelation"] <= 2


def test_a_method_that_does_not_paint_is_validated_by_its_own_loss(small):
    options = {"img_size": 12, "crop_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2}
    own = {"paint_weight": 0.0, "prototypes": 16, "head_dim": 8, "local_views": 1}
    run = small.execute(config(method="volta", options=options | own, recipe=small.recipe))
    last = run.metrics.iloc[-1]
    assert last["val/error"] == pytest.approx(last["val/loss/class"] + last["val/loss/patch"])
    method = trained_method(run).eval()
    crops, _ = reconstruction.held_out_crops(small.prepared, small.recipe)
    with pytest.raises(ValueError, match="paints nothing"):
        method.reconstruct(crops, reconstruction.held_out_masks(method, small.recipe, len(crops)))
    again = reconstruction._own_loss(method, crops, small.recipe, 2)
    assert again(method) == again(method)  # the draws are fixed
