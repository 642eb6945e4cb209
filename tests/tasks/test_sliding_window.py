"""Whole volumes through windows: each voxel where it was, the same however windows are cut and batched."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from studykit.data.volumes.cache import PreparedVolume
from studykit.tasks.sliding_window import WORTH_PROCESSES, score_volumes, segment_volume


class Threshold(nn.Module):
    """Class 1 above 0, class 2 above 1; the logits of a voxel depend on that voxel alone."""

    def __init__(self):
        super().__init__()
        self.cuts = nn.Parameter(torch.tensor([0.0, 1.0]))
        self.seen = []

    def segment(self, volumes):
        self.seen.append(tuple(volumes.shape))
        low, high = volumes - self.cuts[0], volumes - self.cuts[1]
        return torch.cat([-low, torch.minimum(low, -high), high], dim=1)


class Blind(Threshold):
    """Sees an edge of its window that is not there: right in the middle of a window alone."""

    def segment(self, volumes):
        logits = super().segment(volumes)
        edge = torch.ones(volumes.shape[2:], dtype=torch.bool)
        edge[2:-2, 2:-2, 2:-2] = False
        logits[:, 0] += 4.0 * edge
        return logits


def image(shape, seed=0):
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))


def classes_of(volume):
    return (volume[0] > 0).long() + (volume[0] > 1).long()


@pytest.mark.parametrize("shape", [(20, 22, 24), (8, 8, 8), (9, 30, 8)])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_every_voxel_gets_its_class(shape, batch_size):
    volume, method = image(shape), Threshold()
    found = segment_volume(method, volume, 8, batch_size=batch_size)
    assert found.dtype == torch.int64 and torch.equal(found, classes_of(volume))
    assert {seen[1:] for seen in method.seen} == {(1, 8, 8, 8)}
    assert max(seen[0] for seen in method.seen) <= batch_size


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 20, 8)])
def test_a_volume_smaller_than_a_window_is_padded_with_its_minimum(shape):
    volume = image(shape)
    padded = []

    class Keeping(Threshold):
        def segment(self, volumes):
            padded.append(volumes)
            return super().segment(volumes)

    assert torch.equal(segment_volume(Keeping(), volume, (8, 8, 8)), classes_of(volume))
    assert min(float(windows.min()) for windows in padded) == float(volume.min())
    assert (padded[0][0, 0, 0] == volume.min()).all()


def test_the_middle_of_a_window_counts_most():
    volume = 0.5 + (image((24, 24, 24)) > 0).float()
    inside = (slice(6, 18),) * 3
    found = segment_volume(Blind(), volume, 12, overlap=0.75)
    assert torch.equal(found[inside], classes_of(volume)[inside])


def test_no_graph_is_kept_and_bad_images_are_refused():
    method = Threshold()
    segment_volume(method, image((9, 9, 9)), 8)
    assert method.cuts.grad is None
    for bad in (torch.zeros(9, 9, 9), torch.zeros(2, 9, 9, 9)):
        with pytest.raises(ValueError, match=r"an image is \(1, D, H, W\), got"):
            segment_volume(method, bad, 8)


def labelled(name, wrong=False):
    """(X, Y, Z) of 1x1x2 mm; the labels are those that :class:`Threshold` finds, or shifted by a voxel."""
    array = np.full((12, 14, 16), -1.0, np.float32)
    array[3:9, 3:9, 3:9] = 0.5
    array[5:7, 5:7, 5:7] = 1.5
    labels = (array > 0).astype(np.int16) + (array > 1)
    labels = np.roll(labels, 1, axis=2) if wrong else labels
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    return PreparedVolume(name, array, array > -1, labels, affine, "MR", "")


def test_scores_have_a_row_for_each_volume_and_class():
    rows = score_volumes(
        Threshold(),
        [labelled("ann"), labelled("bob", wrong=True)],
        {1: "shell", 2: "core", 3: "nothing"},
        8,
        tolerance_mm=1.0,
    )
    assert [(row["subject"], row["class"]) for row in rows] == [
        (subject, name) for subject in ("ann", "bob") for name in ("shell", "core", "nothing")
    ]
    right, shifted = {row["class"]: row for row in rows[:3]}, {row["class"]: row for row in rows[3:]}
    for name in ("shell", "core"):
        assert (right[name]["dice"], right[name]["hd95"], right[name]["surface_dice"]) == (1.0, 0.0, 1.0)
    assert shifted["core"]["dice"] == shifted["core"]["accuracy"] == pytest.approx(0.5)
    assert shifted["core"]["iou"] == pytest.approx(1 / 3) and 0 < shifted["core"]["asd"] < 2
    assert shifted["core"]["hd95"] == pytest.approx(2.0), "one voxel along z is 2 mm"
    assert all(np.isnan(right["nothing"][name]) for name in ("dice", "hd95", "surface_dice"))


def test_scores_are_the_same_and_in_order_on_several_cores(monkeypatch):
    volumes = [labelled(f"subject {n}", wrong=n % 3 == 0) for n in range(WORTH_PROCESSES)]
    settings = {"classes": {1: "shell", 2: "core"}, "crop_size": 8, "tolerance_mm": 1.0}
    alone = score_volumes(Threshold(), volumes, **settings)
    processes = []

    def cores(work, parts, *, least):
        processes.append(len(parts) >= least)
        return reversed([pickle.loads(pickle.dumps(work))(part) for part in parts])

    monkeypatch.setattr("studykit.tasks.sliding_window.on_all_cores", cores)
    assert score_volumes(Threshold(), volumes, **settings) == alone and processes == [True]


def test_a_constant_background_is_what_the_method_sees():
    made = labelled("ann")
    noisy = made.array + 5.0 * (made.array < 0)
    volume = PreparedVolume("ann", noisy, made.foreground, made.labels, made.affine, "MR", "")
    plain, constant = (
        score_volumes(Threshold(), [volume], {2: "core"}, 8, constant_background=flag, tolerance_mm=1.0)[0][
            "dice"
        ]
        for flag in (False, True)
    )
    assert plain < constant


def test_a_volume_without_labels_is_named():
    bare = PreparedVolume(
        "bob", np.zeros((9, 9, 9), np.float32), np.ones((9, 9, 9), bool), None, np.eye(4), "", ""
    )
    with pytest.raises(ValueError, match="bob has no labels"):
        score_volumes(Threshold(), [bare], {1: "one"}, 8, tolerance_mm=1.0)
