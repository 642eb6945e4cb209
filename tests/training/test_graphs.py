"""A step as a graph, rehearsed by a tape that keeps a graph's rules; on a card, the graph itself."""

import math
import signal
from pathlib import Path

import pytest
import torch
from tape import TapeGraphs
from torch import Tensor
from toy_training import ToyBatches, ToyMethod, conducted, config, send_self, train_toy

from studykit.training import graphs
from studykit.training.distributed import SINGLE, World
from studykit.training.graphs import CAPTURED, WAITS, WARM_STEPS, graphs_of, refusal
from studykit.training.records import read_records
from studykit.training.step import Step


def with_tape(folder: Path, settings=None, **changes):
    tape, notes = changes.pop("tape", None) or TapeGraphs(), []
    outcome, method = train_toy(folder, settings, graphs=tape, note=notes.append, **changes)
    return outcome, method, tape.captures, notes


def assert_alike(first: torch.nn.Module, second: torch.nn.Module, **tolerance: float) -> None:
    for name, value in first.state_dict().items():
        torch.testing.assert_close(
            second.state_dict()[name], value, **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.04, "weight_decay_end": 4.0},
        {"clip_norm": 0.5, "accumulate": 2},
        {"precision": "bf16", "warmup_steps": 6},
    ],
    ids=["plain", "weight decay that grows", "clipped, in two parts", "bf16, warming up"],
)
def test_replayed_steps_are_eager_steps(tmp_path: Path, changes: dict) -> None:
    """Rates go on changing, dropout and batches stay random, and the last step is the eager one's."""
    _, eager = train_toy(tmp_path / "eager", config(**changes))
    outcome, method, captures, notes = with_tape(tmp_path / "tape", config(**changes))
    assert (outcome.state, captures, notes) == ("done", 1, [CAPTURED])
    assert_alike(eager, method, rtol=1e-5, atol=1e-6)
    one, other = (read_records(tmp_path / name / "metrics.jsonl") for name in ("eager", "tape"))
    for expected, found in zip(one, other, strict=True):
        assert found["lr"] == expected["lr"]
        for name in {"train/total", "grad_norm", "val/error"} & expected.keys():
            assert found[name] == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize("draw", [1, 7])
def test_a_training_stopped_before_or_after_the_capture_resumes(tmp_path: Path, draw: int) -> None:
    """A checkpoint says nothing of graphs: what one left is gone on with eagerly, and the other way round."""
    _, whole = train_toy(tmp_path / "whole")
    stop = {"batches": ToyBatches(before=send_self(signal.SIGTERM, draw))}
    for first, second in ((with_tape, train_toy), (train_toy, with_tape)):
        folder = tmp_path / first.__name__
        assert first(folder, **stop)[0].state == "interrupted"
        stop = {"batches": ToyBatches(before=send_self(signal.SIGTERM, draw))}
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)["state"]["optimizer"]
        assert all(type(group["lr"]) is float and not group["capturable"] for group in saved["param_groups"])
        assert_alike(whole, second(folder)[1], rtol=1e-5, atol=1e-6)


class Reading(ToyMethod):
    """Reads a value in each step."""

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        assert volume.abs().sum().item() > 0
        return super().forward(volume, mask)


def test_a_method_that_waits_for_the_device_stays_eager(tmp_path: Path) -> None:
    _, eager = train_toy(tmp_path / "eager")
    outcome, method, captures, notes = with_tape(tmp_path / "tape", method=Reading(0.2))
    assert (outcome.state, captures, notes) == ("done", 0, [f"eager: {WAITS}"])
    assert eager.head.weight.shape == method.head.weight.shape


class Moody(ToyMethod):
    """Reads a value only once its steps are warm, so that nobody sees it coming."""

    steps = 0

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        self.steps += self.training
        if self.training and self.steps == WARM_STEPS + 1:
            volume.sum().item()
        return super().forward(volume, mask)


def test_a_capture_that_fails_loses_no_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = Moody(0.2)
    _, eager = train_toy(tmp_path / "eager", method=start)
    torch.manual_seed(0)
    outcome, method, captures, notes = with_tape(tmp_path / "tape", method=Moody(0.2))
    assert (outcome.state, captures) == ("done", 0)
    assert len(notes) == 1 and notes[0].startswith("eager: operation not permitted when stream is capturing")
    assert_alike(eager, method, rtol=0, atol=0)


class Late(TapeGraphs):
    """Refuses a capture once the gradient is there, ahead of the optimizer or behind it.

    As with a card, what was computed is undone, and what Python holds is not.
    """

    def __init__(self, stepped: bool) -> None:
        super().__init__()
        self.stepped = stepped

    def capture(self, work):
        original = Step._apply

        def fail(step: Step) -> None:
            if self.stepped:
                original(step)
            raise RuntimeError("no memory for a graph")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Step, "_apply", fail)
            return super().capture(work)


@pytest.mark.parametrize("stepped", [False, True], ids=["ahead of the optimizer", "behind it"])
@pytest.mark.parametrize("settings", [config(), conducted(accumulate=2)], ids=["adamw", "gcond"])
def test_a_capture_that_fails_late_leaves_no_gradient(tmp_path: Path, settings, stepped: bool) -> None:
    _, eager = train_toy(tmp_path / "eager", settings)
    outcome, method, captures, notes = with_tape(tmp_path / "tape", settings, tape=Late(stepped))
    assert (outcome.state, captures, notes) == ("done", 0, ["eager: no memory for a graph"])
    assert_alike(eager, method, rtol=0, atol=0)


def test_divergence_is_seen_in_a_replay(tmp_path: Path) -> None:
    class Poisoned(ToyBatches):
        def draw(self, generator, rows=None):
            volumes = super().draw(generator, rows)
            return volumes * math.nan if self.draws == 7 else volumes

    outcome, _, captures, _ = with_tape(tmp_path, batches=Poisoned())
    assert (outcome.state, outcome.step, captures) == ("diverged", 7, 1)


@pytest.mark.parametrize("optimizer", ["sign-momentum", "gcond", "gcond-single"])
def test_what_counts_its_steps_counts_replayed_ones(tmp_path: Path, optimizer: str) -> None:
    """Bias correction, the step before, and a checkpoint that an eager training goes on from."""
    settings = conducted(optimizer, accumulate=2)
    _, eager = train_toy(tmp_path / "eager", settings)
    stop = {"batches": ToyBatches(before=send_self(signal.SIGTERM, 7))}
    stopped, _, captures, notes = with_tape(tmp_path / "tape", settings, **stop)
    assert (stopped.state, captures, notes) == ("interrupted", 1, [CAPTURED])
    _, method = train_toy(tmp_path / "tape", settings)
    assert_alike(eager, method, rtol=1e-4, atol=1e-5)


def test_trainings_share_the_stream_of_their_device(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    graphs._stream_of.cache_clear()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append(device) or object())
    try:
        for number in (0, 0, 1, 0):
            graphs_of(torch.device("cuda", number))
    finally:
        graphs._stream_of.cache_clear()
    assert made == [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_peers_and_several_processes_say_why_they_stay_eager(tmp_path: Path) -> None:
    settings = conducted("upgrad", steps=4, eval_every=4, checkpoint_every=4)
    outcome, _, captures, notes = with_tape(tmp_path, settings)
    assert (outcome.state, captures, notes) == ("done", 0, ["eager: upgrad resolves conflicts on the host"])
    assert refusal(config(), World(0, 2)) == "several processes share a step"
    assert refusal(config(), SINGLE) == "" and graphs_of(torch.device("cpu")) is None
