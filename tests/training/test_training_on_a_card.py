"""A training on a card: stopped and gone on with, and as one process under NCCL.

The last tests do the same on the CPU, with a tape in place of a graph and Gloo in place of NCCL.
"""

import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tape import Never, TapeGraphs
from torch.nn.parallel import DistributedDataParallel
from toy_training import ToyBatches, ToyMethod, conducted, config, send_self, train_toy

from studykit.training.distributed import World
from studykit.training.graphs import CAPTURED

on_a_card = pytest.mark.gpu


class CardBatches(ToyBatches):
    device = "cuda"

    def draw(self, generator, rows=None):
        return super().draw(generator, rows).to(self.device)


class CpuBatches(CardBatches):
    device = "cpu"


def on_card(folder: Path, before=lambda draw: None, settings=None, graphs=None, kind=CardBatches, **changes):
    graphs = graphs or (None if kind.device == "cuda" else TapeGraphs())
    notes: list[str] = []
    outcome, method = train_toy(
        folder,
        settings or config(steps=24, **changes),
        device=kind.device,
        graphs=graphs,
        batches=kind(before=before),
        evaluate=lambda method: {"weight": method.head.weight.norm().item()},
        note=notes.append,
    )
    return outcome, method, notes


@on_a_card
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("draw", [2, 13], ids=["before the capture", "after it"])
def test_a_stopped_training_ends_as_one_that_was_not(tmp_path, draw, precision, kind=CardBatches):
    """Dropout goes on where it was: a replay moves the card's generator as an eager step does."""
    _, whole, notes = on_card(tmp_path / "whole", precision=precision, kind=kind)
    stop = send_self(signal.SIGTERM, draw)
    stopped, _, _ = on_card(tmp_path / "parts", stop, precision=precision, kind=kind)
    assert stopped.state == "interrupted"
    outcome, resumed, _ = on_card(tmp_path / "parts", precision=precision, kind=kind)
    assert outcome.state == "done" and notes == [CAPTURED]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-3, atol=1e-4)


@on_a_card
@pytest.mark.parametrize("optimizer", ["sign-momentum", "gcond", "gcond-single"])
def test_what_counts_its_steps_counts_those_of_a_graph(tmp_path, optimizer, kind=CardBatches):
    """By the way that the weights went: where a momentum is about 0, rounding turns its sign."""
    settings = conducted(optimizer, steps=24, accumulate=2)
    torch.manual_seed(0)
    start = ToyMethod(0.2).state_dict()
    _, eager, _ = on_card(tmp_path / "eager", settings=settings, graphs=Never(), kind=kind)
    stopped, _, notes = on_card(tmp_path / "graph", send_self(signal.SIGTERM, 13), settings, kind=kind)
    _, method, _ = on_card(tmp_path / "graph", settings=settings, kind=kind)
    assert stopped.state == "interrupted" and notes == [CAPTURED]
    for name, value in eager.state_dict().items():
        way = (value.cpu() - start[name]).norm()
        assert (method.state_dict()[name] - value).norm().cpu() <= 0.1 * way, name


@on_a_card
def test_a_graph_gives_its_memory_back(tmp_path):
    on_card(tmp_path / "first")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for number in range(3):
        on_card(tmp_path / str(number))
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before + 2**22


@contextmanager
def group_of_one(backend, folder):
    """One process; torch.distributed.nn keeps the group of its first import: that comes first."""
    import torch.distributed.nn

    dist.init_process_group(backend, init_method=f"file://{folder}/group", rank=0, world_size=1)
    try:
        yield torch.distributed
    finally:
        dist.destroy_process_group()


@on_a_card
def test_one_process_under_nccl(tmp_path):
    torch.cuda.set_device(0)
    with group_of_one("nccl", tmp_path):
        check_one_process(torch.device("cuda", 0), CardBatches())
        gathered: list[object] = [None]
        dist.all_gather_object(gathered, {"state": torch.cuda.get_rng_state(0)})
        assert torch.equal(gathered[0]["state"], torch.cuda.get_rng_state(0))


def check_one_process(device, batches):
    """A gradient through DistributedDataParallel is that without it; sums and objects come through."""
    world = World(0, 2, 0, device)
    torch.manual_seed(0)
    method = ToyMethod().to(device)
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
    assert replace(world, size=1).wrap(method, device) is method


# ---- the same without a card


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_training_on_the_cpu(tmp_path, precision):
    test_a_stopped_training_ends_as_one_that_was_not(tmp_path, 13, precision, CpuBatches)


@pytest.mark.parametrize("optimizer", ["sign-momentum", "gcond", "gcond-single"])
def test_counted_steps_on_the_cpu(tmp_path, optimizer):
    test_what_counts_its_steps_counts_those_of_a_graph(tmp_path, optimizer, CpuBatches)


def test_one_process_under_gloo(tmp_path):
    with group_of_one("gloo", tmp_path):
        check_one_process(torch.device("cpu"), CpuBatches())
