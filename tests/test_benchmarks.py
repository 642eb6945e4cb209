"""What the timings rest on: turns in rounds, ratios with intervals, counted memory, contestants that work."""

import importlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from studykit.arms.profiles import pretraining_profile
from studykit.home import home
from studykit.layers.packed_patches import PackedPatches
from studykit.metrics.effective_rank import DEFINITIONS, effective_rank


@pytest.fixture
def timing(monkeypatch):
    monkeypatch.syspath_prepend(str(home() / "benchmarks"))
    yield importlib.import_module("timing")
    sys.modules.pop("timing")


def test_contestants_take_turns_and_the_warm_up_is_not_counted(timing):
    turns = []
    times = timing.race({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 3, warm_up=1)
    assert turns == ["a", "b"] * 4
    assert {name: seconds.shape for name, seconds in times.items()} == {"a": (3,), "b": (3,)}


def test_ratio_is_of_medians_and_a_slow_spell_of_both_leaves_it(timing):
    rng = np.random.default_rng(1)
    spell = rng.choice([1.0, 5.0], size=200)
    found = timing.ratio(ours=spell * rng.uniform(0.9, 1.1, 200), peer=2 * spell * rng.uniform(0.9, 1.1, 200))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(2.0, rel=0.1)
    assert timing.ratio(np.array([1.0, 2.0, 9.0]), np.array([3.0, 4.0, 5.0])).value == 2.0


def test_a_row_says_whether_the_target_is_met(timing):
    ours, peer = np.full(5, 0.010), np.full(5, 0.012)
    assert timing.compared(ours, peer, target=1.2)["met"] == "yes"
    assert timing.compared(ours, peer, target=1.3)["met"] == "no"
    row = timing.compared(ours, peer)
    assert row["met"] == ""
    assert (row["ours (ms)"], row["peer (ms)"], row["rounds"]) == (10, 12, 5)


def test_a_row_below_one_says_why_in_the_last_column(timing, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path))
    fast, slow = np.full(5, 0.010), np.full(5, 0.012)
    rows = [timing.compared(slow, fast, why="it checks"), timing.compared(fast, slow, why="it checks")]
    assert [row[timing.WHY] for row in rows] == ["it checks", ""]
    timing.write_result("toy", [{**row, "peak (MB)": 1.0} for row in rows], "Two toys.", quick=False)
    written = pd.read_csv(tmp_path / "benchmarks" / f"toy-{importlib.import_module('kinds').kind()}.csv")
    assert written.columns[-1] == timing.WHY and written[timing.WHY].isna().tolist() == [False, True]
    timing.write_result("toy", rows[1:], "Two toys.", quick=False)
    assert timing.WHY not in pd.read_csv(tmp_path / "benchmarks" / next(iter(tmp_path.glob("*/*.csv"))).name)


def test_seconds_of_processor_leave_out_what_a_turn_waits_for(timing):
    def turn():
        time.sleep(0.05)

    assert timing.race({"a": turn}, 2, clock=timing.processor)["a"].max() < 0.02
    assert timing.race({"a": turn}, 2)["a"].min() >= 0.05


COMMITTED = [path.stem for path in sorted((home() / "results" / "benchmarks").glob("*.csv"))]
OLD = pytest.mark.xfail(strict=True, reason="of before tables named the kind of processor; to be run anew")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=OLD) if name.endswith("-cpu") else name for name in COMMITTED]
)
def test_a_committed_table_names_its_kind_of_processor(name):
    path = home() / "results" / "benchmarks" / f"{name}.json"
    facts = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    if name != "coverage":  # shares of samples, which no processor changes
        assert facts["hardware"]["capability"].lower() == name.rpartition("-")[2]
        assert facts["hardware"]["cpu"] and facts["threads"] >= 1


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_row_below_one_has_its_reason_beside_it(timing, name):
    table = pd.read_csv(home() / "results" / "benchmarks" / f"{name}.csv")
    below = table[table["peer / ours"] < 1] if "peer / ours" in table else table[:0]
    assert not len(below) or below[timing.WHY].str.len().gt(20).all()


def test_a_result_is_three_tables_and_their_provenance_and_a_quick_one_is_none(timing, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path))
    rows = [timing.compared(np.ones(3), np.full(3, 2.0))]
    timing.write_result("toy", rows, "Two toys.", quick=True)
    assert not list(tmp_path.iterdir())
    timing.write_result("toy", rows, "Two toys.", quick=False)
    name = f"toy-{importlib.import_module('kinds').kind()}"
    assert {p.name for p in (tmp_path / "benchmarks").iterdir()} == {
        f"{name}.{kind}" for kind in ("csv", "md", "tex", "json")
    }
    saved = json.loads((tmp_path / "benchmarks" / f"{name}.json").read_text())
    assert saved["notes"].startswith("Two toys.")
    assert saved["provenance"]["threads"] >= 1


def test_a_masked_process_is_of_the_kind_that_its_name_says(timing):
    kinds = importlib.import_module("kinds")
    assert kinds.kind() in kinds.kinds()
    code = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
    for name, environment in kinds.kinds().items():
        if name != "cuda":
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
            assert done.stdout.strip() == name


@pytest.mark.parametrize("quick", [False, True])
def test_every_kind_is_run_and_a_failure_is_counted_but_stops_nothing(timing, quick, monkeypatch, tmp_path):
    run = importlib.import_module("run")
    for name, body in {"good": "", "bad": "raise SystemExit(1)"}.items():
        log = f"import os, sys; open({str(tmp_path / 'log')!r}, 'a').write(f'{name} {{sys.argv[1:]}}\\n')"
        (tmp_path / f"bench_{name}.py").write_text(f"{log}\n{body}")
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "kinds", lambda: {"avx512": {}, "avx2": {}})
    monkeypatch.setattr(run, "PEERS", {"lonely": "no_such_package"})
    assert run.main(["bad", "lonely", "good"], quick) == (1 if quick else 2)
    ran = (tmp_path / "log").read_text().splitlines()
    assert ran == (["bad ['--quick']", "good ['--quick']"] if quick else ["bad []"] * 2 + ["good []"] * 2)


@pytest.mark.parametrize("script", sorted(p.stem for p in (home() / "benchmarks").glob("bench_*.py")))
def test_every_script_can_be_imported_without_running(timing, script):
    assert callable(importlib.import_module(script).main)
    sys.modules.pop(script)


def holding(floats):
    """Keeps ``floats`` of fp32, and needs twice as many for a moment at every turn."""
    kept = torch.zeros(floats)

    def turn():
        spare = torch.zeros(2 * floats)
        del spare
        kept.add_(torch.ones(floats))

    return turn


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's allocator counts in blocks of its own")
def test_peak_memory_is_what_is_held_at_once(timing):
    memory = importlib.import_module("memory")
    expected = 3 * 4 * 100_000
    assert expected <= memory.peak_bytes(partial(holding, 100_000)) < expected + 1000


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_effective_rank_and_its_peer_compute_one_number(timing, definition):
    bench = importlib.import_module("bench_effective_rank")
    x = bench.features(40, 12)
    assert effective_rank(x, definition) == pytest.approx(bench.PEERS[definition](x), rel=1e-9)
    assert effective_rank(x, definition) < 11.5


def test_every_contestant_of_the_conductor_trains(timing):
    pytest.importorskip("quadprog", reason="torchjd's solver is not installed: pip install -e '.[peers]'")
    bench = importlib.import_module("bench_gradient_conductor")
    assert {name for pair in bench.PAIRS for name in pair[:2]} == set(bench.CONTESTANTS)
    sizes = replace(pretraining_profile("smoke"), batch_size=2)
    before = bench.bertswin(sizes).state_dict()
    for name in bench.CONTESTANTS:
        method = bench.bertswin(sizes)
        turn = bench.step(name, method, sizes)
        turn()
        turn()
        for place, parameter in method.named_parameters():
            assert parameter.isfinite().all() and not torch.equal(parameter, before[place]), (name, place)


SMALL = {
    "nnFormer": {"embed_dim": 24, "num_heads": (1, 2, 4, 8)},
    "WaveFormer": {"widths": (16, 16, 32)},
    "SparK": {"widths": (8, 16, 32)},
    "MiM": {"widths": (16, 16, 32)},
}


@pytest.mark.parametrize("name", SMALL)
def test_released_arithmetic_gives_the_gradients_of_our_layers(timing, name):
    bench = importlib.import_module("bench_network_steps")
    [case] = [
        replace(case, side=32, batch=1, options=SMALL[name]) for case in bench.CASES if case.name == name
    ]
    ours, theirs = ({k: g.clone() for k, g in bench.step(case, peer)().items()} for peer in (False, True))
    largest = max(gradient.abs().max() for gradient in ours.values())
    assert ours.keys() == theirs.keys() and largest > 0
    for place, gradient in ours.items():
        torch.testing.assert_close(
            theirs[place], gradient, rtol=0, atol=1e-4 * float(largest), msg=lambda m, at=place: f"{at}: {m}"
        )
    assert bench.operations(case) > 1e7


def test_a_floor_counts_products_as_products(timing):
    bench = importlib.import_module("bench_floors")
    a = torch.randn(256, 256)
    share, told = bench.by_operator(lambda: (a @ a).relu())
    assert share > 0.5 and "relu" in told
    case = bench.Case("block", bench.BLOCK, {"dim": 16, "num_heads": 2}, side=7)
    turn, flops = bench.contestant(case)
    turn()
    # Four linear layers of 12 dim² weights and attention over 343 tokens, forward and twice backward.
    assert flops == 2 * 3 * (12 * 16**2 * 343 + 2 * 343**2 * 16)


def test_the_rule_of_threads_is_held_against_sizes_on_either_side_of_its_bound(timing):
    bench = importlib.import_module("bench_beside")
    assert {size.on_one_thread for size in bench.ON_CPU} == {True, False}


@pytest.mark.minkowski
def test_every_contestant_of_the_sparse_convolution_finds_the_same_gradients(timing):
    bench = importlib.import_module("bench_sparse_conv")
    found = {name: bench.turns(name, 16, 0.25)() for name in bench.CONTESTANTS}
    packed = PackedPatches(bench.inputs(16, 0.25)[1])
    found["halo, packed"] = (packed.unpack(found["halo, packed"][0]), *found["halo, packed"][1:])
    for name, gradients in found.items():
        for ours, theirs in zip(found["masked dense"], gradients, strict=True):
            torch.testing.assert_close(
                theirs, ours, rtol=1e-4, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}"
            )


@pytest.mark.network
def test_the_cohorts_peer_makes_labelled_heads_of_the_same_regions(timing):
    bench = importlib.import_module("bench_cohort")
    labels = bench.label_map(6.0)
    assert labels.shape == (1, *bench.DESIGN.shape(6.0)) and len(labels.unique()) > 10
    pytest.importorskip("torchio", reason="torchio is not installed: pip install -e '.[peers]'")
    made = bench.by_torchio(labels, 6.0)()
    image, regions = made["image"].data, made["labels"].data
    assert image.shape == regions.shape == labels.shape and image.std() > 0.5
    assert set(regions.unique().tolist()) <= set(labels.unique().tolist())


def test_a_row_of_a_card_says_what_rate_ours_comes_to(timing, monkeypatch):
    bench = importlib.import_module("bench_card")
    monkeypatch.setattr(bench, "ROUNDS", 2)
    a = torch.rand(64, 64)
    row = bench.against("a product", lambda: a @ a, lambda: a @ a, 1.0, "itself")
    rate = 2 * 64**3 / (row["ours (ms)"] / 1e3) / 1e12
    assert row["TFLOP/s"] == pytest.approx(rate)
    assert len(bench.parts_of(True)) == 7


@pytest.mark.parametrize("family", ["sparse_conv", "layouts"])
def test_operations_of_a_row_are_counted(timing, monkeypatch, family):
    """Rows of steps, wavelets and windows take MONAI and ptwt: the rehearsal of a bundle runs them."""
    bench = importlib.import_module("bench_card")
    monkeypatch.setattr(bench, "ROUNDS", 1)
    for part in getattr(bench, family)(True):
        assert part()["TFLOP/s"] > 0


def test_a_card_that_is_cut_off_leaves_the_parts_that_are_done(timing, monkeypatch):
    bench = importlib.import_module("bench_card")
    written = []

    def cut_off():
        raise KeyboardInterrupt

    def done():
        return {"what": "a step", "TFLOP/s": 4.0, "target share": 0.35}

    monkeypatch.setattr(bench, "write_result", lambda name, rows, notes, quick: written.append((name, *rows)))
    monkeypatch.setattr(bench, "matmul_rates", lambda small: [{"precision": "bf16", "TFLOP/s": 10.0}])
    monkeypatch.setattr(bench, "parts_of", lambda small: [done, cut_off])
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)
    with pytest.raises(KeyboardInterrupt):
        bench.main(quick=False)
    [name, row] = written[-1]
    assert name == "card" and row["what"] == "a step"
    assert (row["share of the rate"], row["target share"], row["share met"]) == (0.4, 0.35, "yes")
    assert bench.held({"TFLOP/s": 3.0, "target share": 0.35}, 10.0)["share met"] == "no"
    assert bench.held({"TFLOP/s": 3.0}, 10.0)["share met"] == ""
    assert bench.single(small=False) == "tf32", "a card takes products of fp32 through TF32 there"
