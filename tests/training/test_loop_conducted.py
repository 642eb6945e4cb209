"""Training with an optimizer of the loss terms: it resumes, accumulates and spreads as any other does."""

import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import toy_training
from torch import Tensor, nn
from toy_training import ToyBatches, ToyMethod, conducted, send_self, train_toy
from two_ranks import run_ranks

from studykit.training.config import CONDUCTED
from studykit.training.records import read_records

CONDUCTORS = ("gcond", "gcond-single", "upgrad")


class Opposed(ToyMethod):
    """A third loss that pulls against the first; always the same weights to start from."""

    def __init__(self, dropout: float = 0.0) -> None:
        torch.manual_seed(0)
        super().__init__(dropout)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        terms = super().forward(volume, mask)
        return terms | {"opposed": 0.3 * (self.head.weight.square().mean() - terms["hidden"])}


def weights(method: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in method.state_dict().values()])


def assert_alike(one: Tensor, other: Tensor) -> None:
    """Equal to rounding, but for a few weights: where a momentum is 0 to rounding its sign is a toss."""
    off = (one - other).abs() > 1e-5
    assert off.float().mean() < 1e-3
    torch.testing.assert_close(one, other, rtol=0, atol=0.02)


def records(folder: Path) -> list[dict[str, float]]:
    return read_records(folder / "metrics.jsonl")


@pytest.mark.parametrize("name", ["sign-momentum", *CONDUCTORS])
def test_interrupted_then_resumed_ends_bit_equal(tmp_path: Path, name: str) -> None:
    settings = conducted(name)
    _, whole = train_toy(tmp_path / "whole", settings, method=Opposed(0.2))
    stop = ToyBatches(before=send_self(signal.SIGTERM, at_draw=4))
    stopped, _ = train_toy(tmp_path / "stopped", settings, batches=stop, method=Opposed(0.2))
    assert (stopped.state, stopped.step) == ("interrupted", 5)
    outcome, resumed = train_toy(tmp_path / "stopped", settings, method=Opposed(0.2))
    assert outcome.state == "done"
    assert torch.equal(weights(resumed), weights(whole))
    for one, other in zip(records(tmp_path / "whole"), records(tmp_path / "stopped"), strict=True):
        shared = {k for k in one if k not in ("seconds", "samples_per_second", "peak_memory_bytes")}
        assert {k: one[k] for k in shared} == {k: other[k] for k in shared}


@pytest.mark.parametrize("name", ["sign-momentum", *CONDUCTORS])
def test_accumulated_parts_equal_one_batch(tmp_path: Path, name: str) -> None:
    one = train_toy(tmp_path / "one", conducted(name), dropout=0.0)[1]
    parts = train_toy(tmp_path / "parts", conducted(name, accumulate=2), dropout=0.0)[1]
    assert_alike(weights(one), weights(parts))
    for record, expected in zip(records(tmp_path / "parts"), records(tmp_path / "one"), strict=True):
        for key in expected.keys() & {"train/total", "val/error", "grad_norm", "conflict/cosine"}:
            assert record[key] == pytest.approx(expected[key], rel=1e-3), key


def test_gcond_on_one_loss_is_sign_momentum(tmp_path: Path) -> None:
    single, plain, several = (
        train_toy(tmp_path / name, conducted(name), method=Opposed())[1]
        for name in ("gcond-single", "sign-momentum", "gcond")
    )
    assert_alike(weights(single), weights(plain))
    assert ((weights(several) - weights(plain)).abs() > 1e-4).float().mean() > 0.1
    for one, other in zip(
        records(tmp_path / "gcond-single"), records(tmp_path / "sign-momentum"), strict=True
    ):
        for key in other.keys() & {"val/error", "train/total", "grad_norm"}:
            assert one[key] == pytest.approx(other[key], rel=1e-4), key


@pytest.mark.parametrize("name", ["sign-momentum", *CONDUCTORS])
def test_they_learn(tmp_path: Path, name: str) -> None:
    train_toy(tmp_path, conducted(name))
    errors = [record["val/error"] for record in records(tmp_path)]
    assert all(after < before for before, after in pairwise(errors))


@pytest.mark.parametrize("name", CONDUCTORS)
def test_conflicts_are_on_record_where_losses_are_taken_apart(tmp_path: Path, name: str) -> None:
    train_toy(tmp_path, conducted(name))
    first, *later = records(tmp_path)
    assert not [key for key in first if key.startswith("conflict")]
    for record in later:
        assert record["train/total"] == pytest.approx(record["train/hidden"] + record["train/visible"])
        assert ("conflict/cosine" in record) == (name in CONDUCTED)
        assert ("conflict/resolutions" in record) == (name == "gcond")
        norms = [record[key] for key in sorted(record) if key.startswith("grad_norm/")]
        assert len(norms) == (2 if name in CONDUCTED else 1) and min(norms) > 0
        if name in CONDUCTED:
            assert -1 <= record["conflict/cosine"] <= 1


def test_the_rate_on_record_is_the_one_applied(tmp_path: Path) -> None:
    train_toy(tmp_path, conducted())
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    (group,) = checkpoint["state"]["optimizer"]["optimizer"]["param_groups"]
    assert group["lr"] == records(tmp_path)[-1]["lr"]


def test_the_momentum_is_limited_where_a_limit_is_set(tmp_path: Path) -> None:
    """The trust ratio grows as the momentum shrinks, so a limit is seen in the step."""
    shifts = []
    for limit in (None, 1e-2):
        start = train_toy(tmp_path / f"start{limit}", conducted(steps=1, lr=1e-12, warmup_steps=0))[1]
        settings = conducted(steps=1, warmup_steps=0, clip_norm=limit, trust_clip=1e6)
        end = train_toy(tmp_path / f"end{limit}", settings)[1]
        shifts.append((end.head.weight - start.head.weight).abs().mean().item())
    norm = records(tmp_path / "endNone")[-1]["grad_norm"]
    assert shifts[1] / shifts[0] == pytest.approx(norm / 1e-2, rel=1e-2)


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Breaking(ToyMethod):
        steps = 0

        def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
            self.steps += self.training
            terms = super().forward(volume, mask)
            broken = float("inf") if self.training and self.steps == 8 else 0.0
            return terms | {"broken": self.head.weight.mean() * broken}

    outcome, _ = train_toy(tmp_path, conducted(), method=Breaking())
    assert (outcome.state, outcome.step) == ("diverged", 8)
    assert "last checkpoint: step 6" in outcome.message


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the trainings that two gloo processes made: see ``conducted ranks`` of toy_training."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(toy_training.main, "conducted ranks", str(folder))
    return folder


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_train_as_one(ranks: Path, tmp_path: Path, accumulate: int) -> None:
    _, alone = train_toy(tmp_path, conducted(), dropout=0.0)
    folder = ranks / f"accumulate{accumulate}"
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)["state"]["method"]
    assert_alike(torch.cat([value.flatten() for value in saved.values()]), weights(alone))
    record, expected = (records(place)[-1] for place in (folder, tmp_path))
    for key in (
        "step",
        "samples",
        "lr",
        "train/hidden",
        "train/total",
        "grad_norm",
        "conflict/cosine",
        "val/error",
    ):
        assert record[key] == pytest.approx(expected[key], rel=1e-4), key
