"""Crops drawn from cached real volumes against the training step that consumes them, arm by arm."""

import torch
from timing import compared, device, is_quick, processor, race, write_result

from studykit.arms.arm import Arm
from studykit.arms.profiles import Profile, pretraining_profile
from studykit.arms.tuning import training_of
from studykit.data.crops.random_crops import RandomCrops
from studykit.data.sources import DEFAULT_SOURCE, prepared_source
from studykit.methods import build_method
from studykit.training.distributed import SINGLE
from studykit.training.graphs import graphs_of
from studykit.training.state import TrainingState
from studykit.training.step import Step

NOTES = (
    "A batch of random crops (turned, scaled, mirrored) drawn from the sample heads, against the optimizer "
    "step of an arm on a batch at hand, at the {profile} profile: {batch} crops of {crop}³ voxels. The ratio "
    "says how much faster crops come than training consumes them."
)
TARGET = 5.0


class BatchAtHand:
    """Gives the same batch every time, at no cost."""

    def __init__(self, batch: torch.Tensor) -> None:
        self._batch = batch

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> torch.Tensor:
        return self._batch[rows]


def arms(sizes: Profile) -> tuple[Arm, Arm]:
    """The two arms of the convergence study."""
    dim, depth, heads = sizes.embed_dim, sizes.depth, sizes.num_heads
    common = {
        "img_size": sizes.crop_size, "patch_size": sizes.patch_size,
        "embed_dim": dim, "depth": depth, "num_heads": heads,
    }  # fmt: skip
    decoder = {
        "mlp_dim": 4 * dim, "decoder_dim": dim // 2, "decoder_depth": max(depth // 3, 1),
        "decoder_num_heads": heads, "decoder_mlp_dim": 2 * dim // 3,
    }  # fmt: skip
    windows = {"window_size": sizes.window_size}
    return Arm("MAE-ViT", "mae", common | decoder), Arm("BertsWin", "bertswin", common | windows)


def main(quick: bool) -> None:
    sizes = pretraining_profile("gpu" if device().type == "cuda" else "laptop")
    volumes = prepared_source(DEFAULT_SOURCE, sizes.spacing_mm).volumes
    crops = RandomCrops(volumes, sizes.crop_size, sizes.batch_size, device())
    generator = torch.Generator().manual_seed(0)
    batch = crops.draw(generator)
    rows = []
    for arm in arms(sizes):
        method = build_method(arm.method, **arm.options).to(device())
        training = training_of(arm, sizes, tuning=False)
        step = Step(method, BatchAtHand(batch), training, device(), SINGLE, graphs_of(device()), print)
        state = TrainingState(method, step.optimizer, seed=0, device=device(), world=SINGLE)
        times = race(
            {"crops": lambda: crops.draw(generator), "step": lambda step=step, state=state: step(state)},
            rounds=5 if quick else 20,
            clock=processor,
        )
        row = compared(times["crops"], times["step"], TARGET)
        rates = {
            "crops drawn (1/s)": sizes.batch_size / row["ours (ms)"] * 1e3,
            "crops consumed (1/s)": sizes.batch_size / row["peer (ms)"] * 1e3,
        }
        rows.append({"ours": "crops", "peer": f"step of {arm.name}"} | rates | row)
    notes = NOTES.format(profile=sizes.name, batch=sizes.batch_size, crop=sizes.crop_size)
    write_result("batches", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
