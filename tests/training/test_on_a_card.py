"""A training on a card: stopped and gone on with, and as one process under NCCL."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tape import Never
from torch.nn.parallel import DistributedDataParallel
from toy_training import ToyBatches, ToyMethod, conducted, config, send_self, train_toy

from studykit.training.distributed import World
from studykit.training.graphs import CAPTURED

pytestmark = pytest.mark.gpu


class CardBatches(ToyBatches):
    def draw(self, generator, rows=None):
        return super().draw(generator, rows).cuda()


def on_card(folder: Path, before=lambda draw: None, settings=None, graphs=None, **changes):
    notes: list[str] = []
    outcome, method = train_toy(
        folder,
        settings or config(steps=24, **changes),
        device="cuda",
        graphs=graphs,
        batches=CardBatches(before=before),
        evaluate=lambda method: {"weight": method.head.weight.norm().item()},
        note=notes.append,
    )
    return outcome, method, notes


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("draw", [2, 13], ids=["before the capture", "after it"])
def test_a_stopped_training_ends_as_one_that_was_not(tmp_path, draw, precision):
    """Dropout goes on where it was: a replay moves the card's generator as an eager step does."""
    _, whole, notes = on_card(tmp_path / "whole", precision=precision)
    stop = send_self(signal.SIGTERM, draw)
    assert on_card(tmp_path / "parts", stop, precision=precision)[0].state == "interrupted"
    outcome, resumed, _ = on_card(tmp_path / "parts", precision=precision)
    assert outcome.state == "done" and notes == [CAPTURED]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sign-momentum", "gcond", "gcond-single"])
def test_what_counts_its_steps_counts_those_of_a_graph(tmp_path, optimizer):
    """By the way that the weights went: where a momentum is about 0, rounding turns its sign."""
    settings = conducted(optimizer, steps=24, accumulate=2)
    torch.manual_seed(0)
    start = ToyMethod(0.2).state_dict()
    _, eager, _ = on_card(tmp_path / "eager", settings=settings, graphs=Never())
    stopped, _, notes = on_card(tmp_path / "graph", send_self(signal.SIGTERM, 13), settings)
    _, method, _ = on_card(tmp_path / "graph", settings=settings)
    assert stopped.state == "interrupted" and notes == [CAPTURED]
    for name, value in eager.state_dict().items():
        way = (value.cpu() - start[name]).norm()
        assert (method.state_dict()[name] - value).norm().cpu() <= 0.1 * way, name


def test_a_graph_gives_its_memory_back(tmp_path):
    on_card(tmp_path / "first")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for number in range(3):
        on_card(tmp_path / str(number))
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before + 2**22


@pytest.fixture
def group(tmp_path):
    """NCCL with one process; torch.distributed.nn keeps the group of its first import: that comes first."""
    import torch.distributed.nn

    torch.cuda.set_device(0)
    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield torch.distributed
    dist.destroy_process_group()


def test_one_process_under_nccl(group):
    """A gradient through DistributedDataParallel is that without it; sums and objects come through."""
    device, world = torch.device("cuda", 0), World(0, 2, 0, torch.device("cuda", 0))
    torch.manual_seed(0)
    method = ToyMethod().to(device)
    batches = CardBatches()
    volumes = batches.draw(torch.Generator().manual_seed(0))
    masks = method.draw_masks(8, torch.Generator().manual_seed(1), volumes)
    sum(method(volumes, masks).values()).backward()
    expected = [parameter.grad.clone() for parameter in method.parameters()]
    method.zero_grad()
    wrapped = world.wrap(method, device)
    assert isinstance(wrapped, DistributedDataParallel)
    with world.no_sync(wrapped):
        sum(wrapped(volumes, masks).values()).backward()
    method.zero_grad()
    sum(wrapped(volumes, masks).values()).backward()
    for parameter, gradient in zip(method.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    values = torch.tensor([1.0, 3.0], device=device)
    # It believes in two processes, so that it asks NCCL at all; a sum of one over two is half.
    assert world.mean(values).tolist() == [0.5, 1.5]
    assert world.maximum(values).tolist() == [1.0, 3.0]
    gathered: list[object] = [None]
    dist.all_gather_object(gathered, {"state": torch.cuda.get_rng_state(device)})
    assert torch.equal(gathered[0]["state"], torch.cuda.get_rng_state(device))
    assert replace(world, size=1).wrap(method, device) is method
