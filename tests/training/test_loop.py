"""The loop: what it writes, that a stop at any moment changes nothing, and what ends it early."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import toy_training
from filelock import FileLock
from tape import Sendings
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from toy_training import ToyBatches, ToyMethod, config, send_self, train_toy

from studykit.runs.store import Run, RunStore
from studykit.training import loop, step
from studykit.training.checkpoint import BEST, SNAPSHOTS, CheckpointError, load_weights, snapshot_name
from studykit.training.config import TrainingConfig
from studykit.training.guard import JUDGED_FROM
from studykit.training.loop import Outcome
from studykit.training.optimizers import build_optimizer
from studykit.training.records import read_records
from studykit.training.step import OutOfMemoryError

TIMED = ("seconds", "samples_per_second", "peak_memory_bytes")


def untimed(folder: Path) -> list[dict]:
    records = read_records(folder / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in TIMED} for record in records]


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ToyMethod]:
    """A training of twelve steps that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    outcome, method = train_toy(folder)
    assert (outcome.state, outcome.step) == ("done", 12)
    return folder, method


def test_records(whole: tuple[Path, ToyMethod]) -> None:
    records = read_records(whole[0] / "metrics.jsonl")
    assert [record["step"] for record in records] == [0, 4, 8, 12]
    assert [record["samples"] for record in records] == [0, 32, 64, 96]
    assert "train/total" not in records[0]
    for before, record in pairwise(records):
        assert record["train/total"] == pytest.approx(record["train/hidden"] + record["train/visible"])
        assert record["seconds"] > before["seconds"]
        assert record["samples_per_second"] == pytest.approx(32 / (record["seconds"] - before["seconds"]))
        assert record["grad_norm"] > 0 and record["peak_memory_bytes"] > 2**20
    assert records[-1]["val/error"] < records[0]["val/error"]
    assert records[0]["lr"] == 0.01
    assert records[-1]["lr"] == pytest.approx(0.01 * (1 - math.cos(math.pi / 11)) / 2)


def test_the_rate_on_record_is_the_one_applied(whole: tuple[Path, ToyMethod]) -> None:
    checkpoint = torch.load(whole[0] / "checkpoint.pt", weights_only=True)
    rates = {group["lr"] for group in checkpoint["state"]["optimizer"]["param_groups"]}
    assert rates == {read_records(whole[0] / "metrics.jsonl")[-1]["lr"]}


def test_training_leaves_the_callers_random_state(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = ToyMethod()
    before = torch.get_rng_state()
    arguments = dict(folder=tmp_path, seed=1, evaluate=toy_training.evaluate, device="cpu")
    loop.train(method, ToyBatches(), config(), **arguments)
    assert torch.equal(torch.get_rng_state(), before)


def test_killed_then_resumed_ends_bit_equal(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    script = toy_training.__file__
    killed = subprocess.run([sys.executable, script, "killed", str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [record["step"] for record in read_records(tmp_path / "metrics.jsonl")] == [0, 4]
    batches = ToyBatches()
    outcome, method = train_toy(tmp_path, batches=batches)
    assert outcome.state == "done"
    assert batches.draws == 6, "resumed at the checkpoint of step 6"
    assert_same_weights(method, whole[1])
    assert untimed(tmp_path) == untimed(whole[0])


@pytest.mark.parametrize("at_draw", [0, 4, 11])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_at_the_step_boundary(
    tmp_path: Path, whole: tuple[Path, ToyMethod], number: signal.Signals, at_draw: int
) -> None:
    handlers = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
    outcome, _ = train_toy(tmp_path, batches=ToyBatches(before=send_self(number, at_draw)))
    assert (outcome.state, outcome.step) == ("interrupted", at_draw + 1)
    assert f"stopped by {number.name}; last checkpoint: step {at_draw + 1}" in outcome.message
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == handlers
    outcome, method = train_toy(tmp_path)
    assert outcome.state == "done"
    assert_same_weights(method, whole[1])
    assert untimed(tmp_path) == untimed(whole[0])


def test_the_best_weights_are_kept_and_a_resumed_training_keeps_the_same(tmp_path: Path) -> None:
    """The error is made to be least in the middle, at step 8, before and after a stop at step 10."""
    errors = {0: 1.0, 4: 0.6, 8: 0.3, 12: 0.5}
    settings = config(keep_best=True)
    step_of = {}

    def evaluate(method: nn.Module) -> dict[str, float]:
        step = len(step_of) * 4
        step_of[step] = {name: value.clone() for name, value in method.state_dict().items()}
        return {"error": errors[step]}

    shared = dict(seed=1, evaluate=evaluate, device="cpu", folder=tmp_path)
    torch.manual_seed(0)
    stopping = ToyBatches(before=send_self(signal.SIGTERM, 9))
    assert loop.train(ToyMethod(), stopping, settings, **shared).state == "interrupted"
    torch.manual_seed(0)
    assert loop.train(ToyMethod(), ToyBatches(), settings, **shared).state == "done"
    weights, told = load_weights(tmp_path / BEST)
    assert told == {"step": 8, "error": 0.3}
    assert all(torch.equal(weights[name], value) for name, value in step_of[8].items())


def test_no_best_weights_are_kept_unless_asked_for(whole: tuple[Path, ToyMethod]) -> None:
    assert not (whole[0] / BEST).exists()


def test_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    def impatient(draw: int) -> None:
        if draw == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path, batches=ToyBatches(before=impatient))
    assert train_toy(tmp_path)[0].state == "done"


def test_works_outside_the_main_thread(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(train_toy(tmp_path)))
    thread.start()
    thread.join()
    assert_same_weights(results[0][1], whole[1])


def test_finished_training_only_loads(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    train_toy(tmp_path)
    batches = ToyBatches()
    outcome, method = train_toy(tmp_path, batches=batches)
    assert (outcome.state, outcome.step, batches.draws) == ("done", 12, 0)
    assert_same_weights(method, whole[1])
    assert len(read_records(tmp_path / "metrics.jsonl")) == 4


def test_a_run_takes_the_outcome_as_its_ending(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    settings = {"training": asdict(config()), "seed": 3}

    def work(run: Run) -> loop.Outcome:
        before = send_self(signal.SIGTERM, 5 if run.status.attempts == 1 else -1)
        return train_toy(
            run.folder, TrainingConfig.from_dict(run.config["training"]), batches=ToyBatches(before=before)
        )[0]

    assert store.execute(settings, "toy", work).state == "interrupted"
    run = store.execute(settings, "toy", work)
    assert (run.state, list(run.metrics["step"])) == ("done", [0, 4, 8, 12])


def test_seconds_add_up_over_resumes(tmp_path: Path) -> None:
    stopped, _ = train_toy(tmp_path, batches=ToyBatches(before=send_self(signal.SIGTERM, 5)))
    resumed, _ = train_toy(tmp_path)
    seconds = [record["seconds"] for record in read_records(tmp_path / "metrics.jsonl")]
    assert resumed.seconds == seconds[-1] > stopped.seconds > seconds[1]


def test_evaluation_does_not_move_training(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    _, method = train_toy(tmp_path, config(eval_every=1))
    assert_same_weights(method, whole[1])


def test_seed_decides_data_masks_and_dropout(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    assert_same_weights(train_toy(tmp_path / "same")[1], whole[1])
    other = train_toy(tmp_path / "other", seed=4)[1]
    assert not torch.equal(other.head.weight, whole[1].head.weight)


def test_data_order_does_not_depend_on_the_masks(tmp_path: Path) -> None:
    class Greedy(ToyMethod):
        def draw_masks(self, batch_size: int, generator: torch.Generator, *more) -> torch.Tensor:
            torch.rand(5, generator=generator)
            return super().draw_masks(batch_size, generator, *more)

    class Seen(ToyBatches):
        def draw(self, generator: torch.Generator, rows: slice | None = None) -> torch.Tensor:
            self.last = super().draw(generator, rows)
            return self.last

    batches = Seen(), Seen()
    train_toy(tmp_path / "one", batches=batches[0])
    train_toy(tmp_path / "other", batches=batches[1], method=Greedy())
    assert torch.equal(batches[0].last, batches[1].last)


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_accumulated_parts_equal_one_batch(tmp_path: Path, accumulate: int) -> None:
    one = train_toy(tmp_path / "one", config(), dropout=0.0)[1]
    parts = train_toy(tmp_path / "parts", config(accumulate=accumulate), dropout=0.0)[1]
    for name, value in one.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    for record, expected in zip(untimed(tmp_path / "parts"), untimed(tmp_path / "one"), strict=True):
        assert record == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("clip_norm", "expected"), [(None, 1.0), (1e3, 1.0), (0.01, None)])
def test_gradient_is_clipped(tmp_path: Path, clip_norm: float | None, expected: float | None) -> None:
    """AdamW's first moment after one step is (1 - beta1) times the gradient that reached it."""
    train_toy(tmp_path, config(steps=1, warmup_steps=0, clip_norm=clip_norm))
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    moments = [slot["exp_avg"] for slot in checkpoint["state"]["optimizer"]["state"].values()]
    reached = torch.cat([moment.flatten() for moment in moments]).norm().item() / (1 - 0.9)
    norm = read_records(tmp_path / "metrics.jsonl")[-1]["grad_norm"]
    assert norm > 0.1, "the norm on record is the one before clipping"
    assert reached == pytest.approx(norm * expected if expected else clip_norm, rel=1e-4)


def test_bf16_runs_with_weights_in_fp32(tmp_path: Path) -> None:
    class Watched(ToyMethod):
        def forward(self, volume: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            self.seen = self.head(self.body(volume.flatten(1))).dtype
            return super().forward(volume, mask)

    outcome, method = train_toy(tmp_path, config(precision="bf16"), method=Watched())
    assert outcome.state == "done"
    assert method.seen == torch.bfloat16
    assert {value.dtype for value in method.parameters()} == {torch.float32}
    records = read_records(tmp_path / "metrics.jsonl")
    assert records[-1]["val/error"] < records[0]["val/error"]


def test_compiled_training_equals_the_eager_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    original = torch.compile

    def quick(module: nn.Module) -> nn.Module:
        compiled.append(module)
        return original(module, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", quick)
    eager = train_toy(tmp_path / "eager", dropout=0.0)[1]
    assert not compiled
    method = train_toy(tmp_path / "compiled", config(compile=True), dropout=0.0)[1]
    assert compiled == [method]
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(method.state_dict()[name], value, rtol=1e-4, atol=1e-5)


class Breaking(ToyMethod):
    """Its loss, or only the gradient of it, stops being finite at the given step (from 1)."""

    def __init__(self, at_step: int, broken: str) -> None:
        super().__init__()
        self.at_step, self.broken, self.steps = at_step, broken, 0

    def forward(self, volume: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        terms = super().forward(volume, mask)
        self.steps += self.training
        if self.training and self.steps >= self.at_step:
            weight = self.head.weight.mean()
            term = weight * float("inf") if self.broken == "loss" else (weight - weight).abs().sqrt()
            terms["broken"] = term
        return terms


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, broken: str) -> None:
    outcome, method = train_toy(tmp_path, method=Breaking(8, broken))
    assert (outcome.state, outcome.step) == ("diverged", 8)
    assert outcome.message == "loss or gradient not finite at step 8; last checkpoint: step 6"
    assert [record["step"] for record in read_records(tmp_path / "metrics.jsonl")] == [0, 4]
    outcome, method = train_toy(tmp_path)
    assert outcome.state == "done", "the checkpoint of step 6 is good"
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_divergence_at_a_checkpoint_is_not_saved(tmp_path: Path) -> None:
    outcome, _ = train_toy(tmp_path, method=Breaking(3, "loss"))
    assert (outcome.state, outcome.step) == ("diverged", 3)
    assert "no checkpoint yet" in outcome.message
    assert not (tmp_path / "checkpoint.pt").exists()


def test_steps_do_not_read_from_the_device(tmp_path: Path) -> None:
    """Values leave the device once a record: more steps between records read no more of them."""

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            reading = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
            self.count += function in reading
            return function(*arguments, **(keywords or {}))

    counts = []
    for steps in (5, 20):
        settings = config(steps=steps, eval_every=steps, checkpoint_every=steps)
        with Reads() as reads:
            train_toy(tmp_path / str(steps), settings)
        counts.append(reads.count)
    assert counts[0] == counts[1] > 0


def test_a_toys_masks_are_sent_without_waiting() -> None:
    volumes = ToyBatches().pool[:8].to("meta")
    with Sendings() as sent:
        assert ToyMethod().draw_masks(8, torch.Generator(), volumes).device.type == "meta"
    assert sent.blocking == [False]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_steps_on_a_gpu_never_wait_for_it(tmp_path: Path, precision: str) -> None:
    def watch(draw: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if 1 <= draw < 11 else "default")

    settings = config(eval_every=12, checkpoint_every=12, precision=precision)
    on_gpu = {
        "evaluate": lambda method: {"weight": method.head.weight.norm().item()},
        "device": "cuda",
        "batches": ToyBatches(before=watch),
    }
    assert train_toy(tmp_path, settings, **on_gpu)[0].state == "done"


@pytest.mark.parametrize(
    ("accumulate", "advice"), [(2, "Raise accumulate"), (8, "use precision bf16 or a smaller model")]
)
def test_out_of_memory_names_the_knob(tmp_path: Path, accumulate: int, advice: str) -> None:
    class Large(ToyMethod):
        def forward(self, volume: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"large": torch.empty(2**55)} if self.training else super().forward(volume, mask)

    message = rf"{8 // accumulate} volume\(s\) at once: batch_size 8 .* accumulate {accumulate}.* {advice}"
    with pytest.raises(OutOfMemoryError, match=message):
        train_toy(tmp_path, config(accumulate=accumulate), method=Large())


def test_other_errors_in_a_step_come_through(tmp_path: Path) -> None:
    def fail(draw: int) -> None:
        raise RuntimeError("shapes disagree")

    with pytest.raises(RuntimeError, match="shapes disagree"):
        train_toy(tmp_path, batches=ToyBatches(before=fail))


def test_batches_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gave 6 volumes for rows 0 to 8 of a batch of 8"):
        train_toy(tmp_path, batches=ToyBatches(6))


def test_batch_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size 8 cannot be shared by 1 .* multiple of 3"):
        train_toy(tmp_path, config(accumulate=3))


@pytest.mark.parametrize("changes", [{"settings": config(lr=0.5)}, {"seed": 9}])
def test_checkpoint_of_another_training_is_refused(tmp_path: Path, changes: dict) -> None:
    train_toy(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another training"):
        train_toy(tmp_path, **changes)


def test_checkpoint_of_another_method_is_refused(tmp_path: Path) -> None:
    class Other(ToyMethod):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.Linear(2, 2)

    train_toy(tmp_path)
    with pytest.raises(CheckpointError, match=r"(?s)does not fit Other: .*extra\.weight"):
        train_toy(tmp_path, method=Other())


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ORPHAN_SECONDS", 0.1)
    with FileLock(tmp_path / "training.lock"), pytest.raises(RuntimeError, match="another process"):
        train_toy(tmp_path)


def test_validation_that_is_not_finite_is_null(tmp_path: Path) -> None:
    train_toy(tmp_path, evaluate=lambda method: {"error": float("nan")})
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["val/error"] is None


def test_snapshots_keep_the_weights_of_their_step(tmp_path: Path, whole: tuple[Path, ToyMethod]) -> None:
    train_toy(tmp_path, config(snapshot_every=6))
    folder = tmp_path / SNAPSHOTS
    assert sorted(path.name for path in folder.iterdir()) == [snapshot_name(6), snapshot_name(12)]
    weights, metadata = load_weights(folder / snapshot_name(12))
    assert metadata == {"step": 12}
    for name, value in whole[1].state_dict().items():
        assert torch.equal(weights[name], value)
    halfway, _ = load_weights(folder / snapshot_name(6))
    assert not torch.equal(halfway["head.weight"], weights["head.weight"])


def ending_with(tmp_path: Path, steps: int, **signs: float) -> Outcome:
    def looked(method: torch.nn.Module) -> dict[str, float]:
        return {"error": 0.0, **{f"collapsed/{end}": value for end, value in signs.items()}}

    settings = config(steps=steps, eval_every=steps, checkpoint_every=steps)
    return train_toy(tmp_path, settings, evaluate=looked)[0]


@pytest.mark.parametrize("end", ["constant", "uniform"])
def test_a_training_that_ends_collapsed_says_so_and_keeps_its_weights(tmp_path: Path, end: str) -> None:
    signs = {"constant": 0.0, "uniform": 0.0}
    outcome = ending_with(tmp_path, JUDGED_FROM, **{**signs, end: 1.0})
    assert (outcome.state, outcome.step) == ("collapsed", JUDGED_FROM)
    assert outcome.message == f"features collapsed, {end}, by the signs of the last validation"
    assert (tmp_path / "checkpoint.pt").exists()
    again = ending_with(tmp_path, JUDGED_FROM, **signs)
    assert again.state == "collapsed", "found at its end, it is what it was"


def test_too_short_or_healthy_a_training_is_done(tmp_path: Path) -> None:
    assert ending_with(tmp_path / "short", JUDGED_FROM - 1, constant=1.0).state == "done"
    assert ending_with(tmp_path / "healthy", JUDGED_FROM, constant=0.0).state == "done"


def test_what_collapsed_on_the_way_and_recovered_is_done(tmp_path: Path) -> None:
    seen = iter([1.0, 1.0, 0.0])
    settings = config(steps=JUDGED_FROM, eval_every=JUDGED_FROM // 2, checkpoint_every=JUDGED_FROM)
    outcome, _ = train_toy(tmp_path, settings, evaluate=lambda method: {"collapsed/uniform": next(seen)})
    assert outcome.state == "done"


def test_weight_decay_goes_along_its_cosine_and_spares_whom_it_spared(tmp_path: Path) -> None:
    rising = config(steps=8, weight_decay=0.04, weight_decay_end=0.4)
    seen = []

    class Noting(ToyMethod):
        def begin_step(self, step: int, steps: int) -> None:
            seen.append([group["weight_decay"] for group in optimizers[0].param_groups])

    optimizers = []

    def noted(*arguments: object) -> torch.optim.Optimizer:
        optimizers.append(build_optimizer(*arguments))
        return optimizers[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "build_optimizer", noted)
        train_toy(tmp_path / "whole", rising, method=Noting())
    decayed = [after[0] for after in [*seen[1:], [optimizers[0].param_groups[0]["weight_decay"]]]]
    expected = [0.22 - 0.18 * math.cos(math.pi * number / 8) for number in range(8)]
    assert decayed == pytest.approx(expected) and all(groups[1] == 0 for groups in seen)


def test_a_rising_weight_decay_goes_on_after_a_stop_and_changes_what_is_learnt(tmp_path: Path) -> None:
    rising = config(weight_decay=0.04, weight_decay_end=4.0)
    _, whole = train_toy(tmp_path / "whole", rising)
    train_toy(tmp_path / "parts", rising, batches=ToyBatches(before=send_self(signal.SIGTERM, 7)))
    _, resumed = train_toy(tmp_path / "parts", rising)
    assert_same_weights(whole, resumed)
    _, level = train_toy(tmp_path / "level", config(weight_decay=0.04))
    assert whole.head.weight.norm() < level.head.weight.norm()
