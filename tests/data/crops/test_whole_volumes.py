"""Whole fields of view for classification: classes in turn, nothing moved, the same draws for any rows."""

import pytest
import torch

from studykit.data.crops.whole_volumes import WholeVolumes


def volumes(count: int = 6) -> torch.Tensor:
    return torch.arange(count).float()[:, None, None, None, None] * 10 + torch.arange(4.0).view(1, 1, 1, 1, 4)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_classes_take_turns_and_stand_in_the_second_channel():
    batches = WholeVolumes(volumes(), [0, 1, 0, 1, 1, 1], 4)
    batch = batches.draw(generator())
    assert batch.shape == (4, 2, 1, 1, 4) and batch.dtype == torch.float32
    assert batch[:, 1].flatten(1).unique(dim=1).flatten().tolist() == [0, 1, 0, 1]
    whose = (batch[:, 0].mean(dim=(1, 2, 3)) / 10).round()
    assert set(whose[[0, 2]].tolist()) <= {0, 2} and set(whose[[1, 3]].tolist()) <= {1, 3, 4, 5}


def test_rows_are_those_of_the_whole_batch_and_the_generator_moves_alike():
    batches, first, second = WholeVolumes(volumes(), [0, 1] * 3, 4), generator(), generator()
    whole, part = batches.draw(first), batches.draw(second, slice(2, 4))
    assert torch.equal(whole[2:], part)
    assert torch.equal(batches.draw(first), batches.draw(second))


def test_nothing_is_moved_and_mirroring_turns_the_last_axis():
    batches = WholeVolumes(volumes(2), [0, 1], 2)
    gen, seen = generator(), set()
    for _ in range(60):
        line = batches.draw(gen)[0, 0, 0, 0]
        seen.add(tuple(((line - line.min()) / (line.max() - line.min()) * 3).round().int().tolist()))
    assert seen == {(0, 1, 2, 3), (3, 2, 1, 0)}


@pytest.mark.parametrize(
    ("classes", "batch", "words"),
    [([0, 0], 2, "every class"), ([0, 2], 3, "every class"), ([0, 1], 3, "multiple")],
)
def test_what_is_refused(classes, batch, words):
    with pytest.raises(ValueError, match=words):
        WholeVolumes(volumes(2), classes, batch)
