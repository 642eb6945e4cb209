"""Trainings side by side: steps a second of all together, by processes at a time and threads of each.

On a CPU one process on all threads against one of one thread a core, as small runs of a study are made; on a
GPU one to four processes on one card, as ``studykit run --on-a-card`` makes them.
"""

import argparse
import os
import subprocess
import sys
import time

import torch
from timing import device, is_quick, write_result

from studykit.arms.profiles import pretraining_profile
from studykit.methods import build_method
from studykit.training.graphs import replayed

METHODS = ("mae", "bertswin")
SECONDS, QUICK_SECONDS = 10.0, 2.0
ROUNDS = 3
MASK_RATIO = 0.75
NOTES = (
    "Steps (forward and backward of a batch on a mask at hand) a second, all processes together, at the "
    "sizes of the profile {profile}, and how many times as many as one process makes alone; medians of "
    "{rounds} rounds in turn."
)
Row = dict[str, float | str]


def profile() -> str:
    return "gpu" if device().type == "cuda" else "laptop"


def work(method: str, seconds: float) -> None:
    """A process of its own: gets ready, waits for a line, and says how many steps it made in that time."""
    sizes = pretraining_profile(profile())
    options = {
        "img_size": sizes.crop_size, "patch_size": sizes.patch_size, "embed_dim": sizes.embed_dim,
        "depth": sizes.depth, "num_heads": sizes.num_heads, "mask_ratio": MASK_RATIO,
    }  # fmt: skip
    if method == "bertswin":
        options |= {"window_size": sizes.window_size}
    network = build_method(method, **options).to(device())
    volume = torch.randn(sizes.batch_size, 1, *(sizes.crop_size,) * 3, device=device())
    mask = network.draw_masks(len(volume), torch.Generator().manual_seed(0), volume)

    def once() -> None:
        network.zero_grad()
        on = device().type == "cuda"
        with torch.autocast(device().type, torch.bfloat16, enabled=on, cache_enabled=False):
            loss = sum(network(volume, mask).values())
        loss.backward()

    turn = replayed(once, device()) if device().type == "cuda" else once
    for _ in range(3):
        turn()
    print("ready", flush=True)
    sys.stdin.readline()
    start, steps = time.perf_counter(), 0
    while (now := time.perf_counter()) < start + seconds:
        turn()
        if device().type == "cuda":
            torch.cuda.synchronize()
        steps += 1
    print(steps / (now - start), flush=True)


def together(method: str, processes: int, threads: int, seconds: float) -> float:
    """Steps a second of that many processes at once.

    Raises:
        RuntimeError: one of them failed.
    """
    command = [sys.executable, __file__, "--worker", method, "--seconds", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    crew = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    if any(one.stdout.readline() != "ready\n" for one in crew):
        raise RuntimeError(f"a process of {method} did not get ready")
    for one in crew:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[0] for one in crew]
    if any(one.returncode for one in crew):
        raise RuntimeError(f"a process of {method} failed")
    return sum(float(words) for words in said)


def main(quick: bool) -> None:
    seconds, rounds = (QUICK_SECONDS, 1) if quick else (SECONDS, ROUNDS)
    cores = torch.get_num_threads()
    card = device().type == "cuda"
    settings = [(n, 1) for n in (1, 2, 3, 4)] if card else [(1, cores), (1, 1), (cores, 1)]
    settings = list(dict.fromkeys(settings))
    rows: list[Row] = []
    for method in METHODS:
        found: dict[tuple[int, int], list[float]] = {setting: [] for setting in settings}
        for _ in range(rounds):
            for setting in settings:
                found[setting].append(together(method, *setting, seconds))
        alone = sorted(found[settings[0]])[rounds // 2]
        for (processes, threads), rates in found.items():
            middle = sorted(rates)[rounds // 2]
            row: Row = {"method": method, "processes": processes, "threads of each": threads}
            row |= {"steps a second": middle, "least": min(rates), "most": max(rates)}
            rows.append(row | {"times one process": middle / alone})
    write_result("beside", rows, NOTES.format(profile=profile(), rounds=rounds), quick=quick)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--worker", choices=METHODS)
        parser.add_argument("--seconds", type=float)
        own = parser.parse_args()
        work(own.worker, own.seconds)
    else:
        main(is_quick(__doc__))
