"""First numbers of tiny runs against stored ones: who changes them has to raise a version.

A run's identity holds the versions of the code it uses, not the code itself. So a change of behaviour under
an unchanged version would let old runs pass for new ones; these tests fail on it. To store the numbers of
raised versions and of new cases, run ``python tests/test_golden.py``; it refuses to store others.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_labelled import write_labelled_heads
from tiny_study import BERTSWIN, MAE, STUDY, tiny_profile, write_heads

from studykit import atomic
from studykit.arms import profiles
from studykit.data.crops.labelled_crops import LabelledCrops
from studykit.data.crops.random_crops import RandomCrops, fixed_crops
from studykit.data.labelled import open_labelled
from studykit.data.sources import prepared_source
from studykit.data.volumes.volumes import PREPARATION_VERSION
from studykit.methods import METHODS, build_method, method_versions
from studykit.models import MODELS
from studykit.study import open_study
from studykit.tasks import segmentation
from studykit.tasks.reconstruction import Recipe
from studykit.training.config import TrainingConfig
from studykit.training.loop import train
from studykit.training.records import METRICS, read_records

STORED = Path(__file__).with_name("golden.json")
TOLERANCE = {"rel_tol": 1e-4, "abs_tol": 1e-6}
PLACES = {
    "preparation": "PREPARATION_VERSION in studykit/data/volumes/volumes.py",
    "recipe": "Recipe.version in studykit/tasks/reconstruction.py",
    "segmentation recipe": "Recipe.version in studykit/tasks/segmentation.py",
    "training": "TrainingConfig.version in studykit/training/config.py",
    "method": "`version` of the method in studykit/methods/",
    "model": "`version` of the model in studykit/models/",
    "loss": "`version` of the loss in studykit/losses/",
}
SIZES = {"mae": MAE, "bertswin": BERTSWIN}
LOSSES = {
    "l2": {},
    "l2, normalised target": {"normalise_target": True},
    "mvc, covariance": {"loss": "mvc", "loss_options": {"structure": "covariance", "sub_patch": 2}},
    "mvc, correlation": {"loss": "mvc", "loss_options": {"structure": "correlation", "sub_patch": 2}},
    "phys": {
        "loss": "phys",
        "loss_options": {"hu_mean": 100.0, "hu_deviation": 250.0, "sub_patch": 2, "dilate": 1, "erode": 1},
    },
}
LABELLED = {"num_classes": 3}
NNFORMER = {
    "model": "nnformer", "embed_dim": 8, "num_heads": [1, 1, 2, 2], "window_size": [2, 2, 2, 2],
    "stem_stride": 2,
}  # fmt: skip
WAVE_UNET = {"model": "wave-unet", "widths": [8, 16, 16], "depth": 1, "head_dim": 8}
SWIN_UNETR = {
    "model": "swin-unetr", "feature_size": 6, "depths": [2, 1], "num_heads": [1, 2], "window_size": 3,
}  # fmt: skip
VIT = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}
SWIN_UNETR = {
    "model": "swin-unetr", "feature_size": 6, "depths": [2, 1], "num_heads": [1, 2], "window_size": 3,
}  # fmt: skip
RESIDUAL = {"model": "residual-unet", "widths": [8, 8, 16]}
FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "supervised, nnformer": ("supervised", {**LABELLED, **NNFORMER}),
    "supervised, unet": ("supervised", {**LABELLED, "model": "unet", "channels": [4, 8, 8]}),
    "supervised, wave-unet": ("supervised", {**LABELLED, **WAVE_UNET}),
    "supervised, wave-unet, gate": ("supervised", {**LABELLED, **WAVE_UNET, "details": "gate"}),
    "supervised, wave-unet, off": ("supervised", {**LABELLED, **WAVE_UNET, "details": "off"}),
    "supervised, cnn3d": ("supervised", {**LABELLED, "model": "cnn3d", "channels": [4, 8]}),
    "supervised, unet-transformer": (
        "supervised",
        {**LABELLED, "model": "unet-transformer", "channels": [4, 8, 8], "depth": 1, "num_heads": 2},
    ),
    "supervised, swin-unetr": ("supervised", {**LABELLED, **SWIN_UNETR}),
    "supervised, swin-unetr, adaptive": (
        "supervised",
        {**LABELLED, **SWIN_UNETR, "fusion": "selective", "attention": "conditioned", "use_v2": True},
    ),
    "supervised, residual-unet": ("supervised", {**LABELLED, **RESIDUAL}),
    "supervised, waveformer": (
        "supervised", {**LABELLED, "model": "waveformer", "widths": [8, 8, 16, 16], "depth": 1, "head_dim": 8,
                       "img_size": 32},
    ),
    "masked-volume, nnformer": ("masked-volume", {**NNFORMER, "mask_block": 4, "loss": "l1"}),
    "masked-volume, unet": (
        "masked-volume", {"model": "unet", "channels": [4, 8, 8], "mask_block": 4, "skips": "zero"},
    ),
    "spark, sparse": ("spark", RESIDUAL),
    "spark, mask token": ("spark", {**RESIDUAL, "sparse": False, "fill": "mask-token"}),
    "mim, nested, aligned": ("mim", {**WAVE_UNET, "masking": "nested", "alignment": 0.1, "img_size": 32}),
    "mim, vessel": ("mim", {**WAVE_UNET, "masking": "vessel"}),
    "volta": (
        "volta", {"model": "vit", "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2,
                  "img_size": 12, "crop_size": 16, "local_views": 2, "prototypes": 16, "head_dim": 8},
    ),
    "simclr": ("simclr", {**VIT, "model": "vit", "img_size": 12, "crop_size": 16, "projection": 8}),
    "detection": ("detection", WAVE_UNET),
    "mae, vit-autoencoder": (
        "mae", {**VIT, "model": "vit-autoencoder", "decoder_dim": 12, "decoder_depth": 1,
                "decoder_num_heads": 2},
    ),
    "supervised, unetr": ("supervised", {**LABELLED, **VIT, "model": "unetr", "feature_size": 4}),
    "classification, vit": ("classification", {**LABELLED, **VIT, "model": "vit-classifier"}),
    "classification, vit, frozen, mean": (
        "classification", {**LABELLED, **VIT, "model": "vit-classifier", "frozen": True, "pool": "mean",
                           "label_smoothing": 0.1},
    ),
    "classification, swin": (
        "classification", {**LABELLED, "model": "swin-classifier", "embed_dim": 8, "depths": [2, 1],
                           "num_heads": [1, 2], "window_size": 2},
    ),
}  # fmt: skip
Case = tuple[dict[str, int], dict[str, Any]]


# ---- what is measured: versions and numbers of each case


def volume_case(heads: Path) -> Case:
    volume = prepared_source(f"folder:{heads}", 4.0).volumes[0]
    image = torch.from_numpy(volume.array.copy())
    numbers = {"shape": list(image.shape), "foreground": int(volume.foreground.sum()), **summary(image)}
    return {"preparation": PREPARATION_VERSION}, numbers


def crops_case(heads: Path) -> Case:
    volumes = prepared_source(f"folder:{heads}", 4.0).volumes
    random = RandomCrops(volumes, 16, 4).draw(torch.Generator().manual_seed(0))
    fixed = fixed_crops(volumes, 16, 2, torch.Generator().manual_seed(0))
    versions = {"preparation": PREPARATION_VERSION, "recipe": Recipe.version}
    return versions, {"random": summary(random), "fixed": summary(fixed)}


def labelled_crops_case(scratch: Path) -> Case:
    """Crops with labels, balanced over the classes and augmented."""
    data = open_labelled(f"folder:{write_labelled_heads(scratch, count=2)}", 4.0).prepared
    batches = LabelledCrops(data.volumes, 16, 4, classes=3)
    batch = batches.draw(torch.Generator().manual_seed(0))
    versions = {"preparation": PREPARATION_VERSION, "segmentation recipe": segmentation.Recipe.version}
    return versions, {"images": summary(batch[:, 0]), "labels": summary(batch[:, 1])}


def method_case(name: str, options: Mapping[str, Any]) -> Case:
    """Masks, loss terms and gradient of a fresh method."""
    torch.manual_seed(0)
    method = build_method(name, img_size=16, patch_size=4, **SIZES[name], **options)
    generator = torch.Generator().manual_seed(1)
    masks = method.draw_masks(2, generator)
    terms = method(smooth_volumes(generator), masks)
    sum(terms.values()).backward()
    gradient = torch.stack([p.grad.norm() for p in method.parameters() if p.grad is not None]).norm()
    hidden = torch.arange(masks.numel())[masks.flatten()].float()
    numbers = {"hidden places": summary(hidden), "terms": {n: t.item() for n, t in terms.items()}}
    return method_versions(name, options), numbers | {"gradient": gradient.item()}


def further_case(name: str, options: Mapping[str, Any]) -> Case:
    """Loss terms and gradient of a fresh method on architectures that are exchangeable."""
    torch.manual_seed(0)
    sizes = {"img_size": 16} | dict(options)
    method = build_method(name, **sizes)
    generator = torch.Generator().manual_seed(1)
    volumes = smooth_volumes(generator, sizes.get("crop_size", sizes["img_size"]))
    if method.batch_channels == 2:
        volumes = torch.cat([volumes, (volumes > 0.5).float() + (volumes > 1.5)], dim=1)
    terms = method(volumes, method.draw_masks(2, generator, volumes))
    sum(terms.values()).backward()
    gradient = torch.stack([p.grad.norm() for p in method.parameters() if p.grad is not None]).norm()
    numbers = {"terms": {n: t.item() for n, t in terms.items()}, "gradient": gradient.item()}
    return method_versions(name, options), numbers


def training_case(folder: Path) -> Case:
    """The loop alone, on a linear method of this file: order and mask seeds, clipping, AdamW, schedule."""
    settings = TrainingConfig(
        steps=6, batch_size=4, lr=0.05, min_lr=0.01, warmup_steps=2, weight_decay=0.1, clip_norm=0.5,
        accumulate=2, eval_every=1, checkpoint_every=6,
    )  # fmt: skip
    torch.manual_seed(0)
    train(Linear(), Noise(), settings, folder=folder, seed=3, evaluate=lambda method: {}, device="cpu")
    records = read_records(folder / METRICS)[1:]
    numbers = {name: [record[name] for record in records] for name in ("train/total", "grad_norm", "lr")}
    return {"training": settings.version}, numbers


def run_case(method: str, heads: Path) -> Case:
    """A whole run through the study: the curves that would be compared."""
    study = open_study(STUDY, seeds=[0], data=f"folder:{heads}")
    run = study.run(study.arm("arm", method, **SIZES[method]))
    metrics = run.metrics
    numbers = {"val/error": metrics["val/error"].tolist()}
    numbers |= {name: metrics[name].dropna().tolist() for name in ("train/total", "grad_norm")}
    return run.config["versions"], numbers


def measured(name: str, heads: Path, scratch: Path) -> Case:
    return CASES[name](heads, scratch)


CASES: dict[str, Callable[[Path, Path], Case]] = {
    "prepared volume": lambda heads, scratch: volume_case(heads),
    "crops": lambda heads, scratch: crops_case(heads),
    "labelled crops": lambda heads, scratch: labelled_crops_case(scratch),
    "training loop": lambda heads, scratch: training_case(scratch),
}
for _method in SIZES:
    CASES[f"{_method}, a run"] = lambda heads, scratch, m=_method: run_case(m, heads)
    for _loss, _options in LOSSES.items():
        CASES[f"{_method}, {_loss}"] = lambda heads, scratch, m=_method, o=_options: method_case(m, o)
for _case, (_method, _options) in FURTHER.items():
    CASES[_case] = lambda heads, scratch, m=_method, o=_options: further_case(m, o)


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def begin_step(self, step: int, steps: int) -> None:
        pass

    def draw_masks(self, batch_size: int, generator: torch.Generator, volumes=None, rows=slice(None)):
        return (torch.rand(batch_size, 8, generator=generator) < 0.5)[rows]

    def forward(self, volume: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        x = volume.flatten(1)
        return {"error": ((self.layer(x * ~mask) - x).square() * mask).mean()}


class Noise:
    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> torch.Tensor:
        return torch.randn(4, 1, 2, 2, 2, generator=generator)[rows]


def smooth_volumes(generator: torch.Generator, size: int = 16) -> torch.Tensor:
    """(2, 1, size³) standardised, with air, soft tissue and bone for the losses that look at HU."""
    coarse = torch.randn(2, 1, 4, 4, 4, generator=generator)
    return 1.5 * torch.nn.functional.interpolate(coarse, size=(size,) * 3, mode="trilinear")


def summary(values: torch.Tensor) -> dict[str, float]:
    """Numbers that move when values do, or when they change places."""
    flat = values.double().flatten()
    ramp = torch.linspace(-1, 1, flat.numel(), dtype=torch.float64)
    spread = {"mean": flat.mean(), "deviation": flat.std(), "least": flat.min(), "greatest": flat.max()}
    return {name: number.item() for name, number in {**spread, "ordered": (flat * ramp).mean()}.items()}


# ---- held against what is stored


def complaint(name: str, stored: Mapping[str, Any] | None, versions: Mapping[str, int], numbers: Any) -> str:
    """What is wrong with a case, and what to do; nothing if its numbers are the stored ones."""
    store = "store its numbers by `python tests/test_golden.py`"
    if stored is None:
        return f"{name!r} is new: {store}."
    if stored["versions"] != versions:
        return f"{name!r} was stored at versions {stored['versions']}, is at {dict(versions)}: {store}."
    if alike(stored["numbers"], numbers):
        return ""
    places = "; ".join(PLACES[key] for key in versions)
    return (
        f"the numbers of {name!r} moved while its versions stayed {dict(versions)}, so finished runs would "
        f"pass for new ones. If that is meant, raise the version of what you changed ({places}), and "
        f"{store}. "
        f"Stored: {stored['numbers']}. Measured: {numbers}."
    )


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other, strict=True))
    return math.isclose(one, other, **TOLERANCE)


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return json.loads(STORED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_numbers_move_only_with_a_version(name, stored, tiny, heads, tmp_path):
    problem = complaint(name, stored.get(name), *measured(name, heads, tmp_path / "scratch"))
    assert not problem, problem


def test_every_method_and_every_stored_case_is_held(stored):
    assert set(SIZES) | {method for method, _ in FURTHER.values()} == set(METHODS)
    models = {options["model"] for _, options in FURTHER.values()}
    assert models | {METHODS[name].architecture for name in SIZES} == set(MODELS)
    assert stored.keys() == CASES.keys(), "a case was removed: run `python tests/test_golden.py`"


def test_a_moved_number_under_an_old_version_is_told_from_a_raised_version():
    was = {"versions": {"method": 1, "loss": 1}, "numbers": {"terms": {"l2": 1.0}, "curve": [0.5, 0.25]}}
    now = {"terms": {"l2": 1.0}, "curve": [0.5, 0.25 * (1 + 5e-5)]}
    assert complaint("a case", was, was["versions"], now) == ""
    now["curve"][1] = 0.25 * (1 + 5e-4)
    said = complaint("a case", was, was["versions"], now)
    assert "moved while its versions stayed" in said and "studykit/methods/; `version` of the loss" in said
    assert "was stored at versions" in complaint("a case", was, {"method": 2, "loss": 1}, now)
    assert "is new" in complaint("a case", None, {}, now)
    for other in ({"terms": {"l2": 1.0}}, {**now, "curve": [0.5]}, {**now, "terms": {"l1": 1.0}}):
        assert complaint("a case", was, was["versions"], other)


def main() -> int:
    """Store what may be stored; 1 if numbers moved under an unchanged version, and nothing is stored then."""
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ |= {"STUDYKIT_RESULTS": str(folder / "results"), "STUDYKIT_DATA": str(folder / "data")}
        profiles.PRETRAINING["smoke"] = tiny_profile()
        heads = write_heads(folder / "heads")
        cases = {name: measured(name, heads, folder / name) for name in CASES}
    problems = [complaint(name, stored.get(name), *case) for name, case in cases.items()]
    moved = [problem for problem in problems if "moved while" in problem]
    print("\n".join(filter(None, moved or problems)) or "nothing to store")
    if not moved:
        new = {
            name: {"versions": versions, "numbers": numbers} for name, (versions, numbers) in cases.items()
        }
        kept = {name for name, problem in zip(cases, problems, strict=True) if not problem}
        atomic.write_json(STORED, {name: stored[name] if name in kept else new[name] for name in cases})
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
