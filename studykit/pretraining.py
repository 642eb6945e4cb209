"""Pre-training as a tool: backbone, masking, objective and data by name, to weights with a card.

    masks (MiM) ─► sparse encoder (WaveFormer) ─► reconstruction + alignment ─► weights.safetensors, card

The defaults are the whole pipeline of the RSNA 2025 blueprint, each part set right; every part can be
exchanged. A pre-training is a run like those of the studies: found by its configuration, resumed when it was
interrupted, and of no other data than it was planned for.

    plan = PretrainingPlan(data="cohort:heads/t1:40", crop_size=32, spacing_mm=3.0)
    done = pretrain(plan, "pretrained")
    report = load_encoder(build_method("supervised", num_classes=7, **done.model), done.weights)
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from torch import nn

from studykit import atomic
from studykit.data.files.digests import text_sha256
from studykit.data.sources import check_source_name, describe_source, own_path, prepared_source
from studykit.data.splits import split_subjects
from studykit.home import runs_dir
from studykit.masking import num_masked
from studykit.methods import METHODS
from studykit.methods.mim_masks import MASKINGS
from studykit.models import MODELS
from studykit.registry import check_known
from studykit.runs.cost import Cost
from studykit.runs.effort import cost_of, operations_of_step
from studykit.runs.store import Run, RunStore, derive_seed
from studykit.runs.training_run import run_config, work
from studykit.runs.weights import trained_method
from studykit.tasks.reconstruction import Recipe
from studykit.training.checkpoint import export_weights, load_weights
from studykit.training.config import TrainingConfig
from studykit.training.transfer import TransferReport, transfer_weights

OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "reconstruction": {},
    "reconstruction+alignment": {"alignment": 0.1},
    "normalised-reconstruction": {"normalise_target": True, "coarse_weight": 0.0},
}
"""What is minimised: squared error at hidden voxels; the same and features aligned over levels; squared error
against patches standardised one by one, as SparK has it."""

WEIGHTS, CARD = "weights.safetensors", "card"
ENCODER = "model.encoder."  # what the names of its weights begin with


@dataclass(frozen=True, kw_only=True)
class PretrainingPlan:
    """A pre-training.

    Attributes:
        data: source of volumes, see :func:`studykit.data.sources.prepared_source`.
        backbone: name of an architecture.
        backbone_options: its sizes.
        masking: one of :data:`studykit.methods.mim_masks.MASKINGS`.
        masking_options: its fields, such as a ratio.
        objective: one of :data:`OBJECTIVES`.
        spacing_mm: voxel size.
        crop_size: voxels an axis of what the encoder sees.
        held_out: share of the subjects that the reconstruction is scored on.
        seed: of weights, order and masks.

    Raises:
        ValueError: an unknown name (the message lists the known ones), or a share out of range.
    """

    data: str
    backbone: str = "wave-unet"
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    masking: str = "nested"
    masking_options: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "reconstruction+alignment"
    spacing_mm: float = 1.0
    crop_size: int = 96
    batch_size: int = 4
    steps: int = 1000
    lr: float = 1e-3
    precision: str = "fp32"
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_known("backbone", self.backbone, MODELS)
        check_known("masking", self.masking, MASKINGS)
        check_known("objective", self.objective, OBJECTIVES)
        check_source_name(self.data)
        for name in ("crop_size", "batch_size", "steps", "seed"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} must be a whole number, got {getattr(self, name)!r}.")
        for name in ("spacing_mm", "lr", "held_out"):
            if not isinstance(getattr(self, name), Real):
                raise ValueError(f"{name} must be a number, got {getattr(self, name)!r}.")
        num_masked((2, 2, 2), self.held_out)

    @property
    def options(self) -> dict[str, Any]:
        """Of the method ``mim``, which all parts are options of."""
        own = {"model": self.backbone, "masking": self.masking, "masking_options": dict(self.masking_options)}
        return {"img_size": self.crop_size, **self.backbone_options, **own, **OBJECTIVES[self.objective]}

    @property
    def training(self) -> TrainingConfig:
        """AdamW with a tenth of the steps as warm-up."""
        return TrainingConfig(
            steps=self.steps,
            batch_size=self.batch_size,
            lr=self.lr,
            warmup_steps=self.steps // 10,
            clip_norm=1.0,
            eval_every=max(self.steps // 20, 1),
            checkpoint_every=max(self.steps // 10, 1),
            precision=self.precision,
        )

    def recipe(self) -> Recipe:
        """Training and held-out subjects; the three-level form takes crops of twice the size."""
        volumes = prepared_source(self.data, self.spacing_mm)
        ids = sorted({volume.subject for volume in volumes.volumes})
        split = split_subjects(ids, seed=derive_seed("pretraining", self.seed), val=self.held_out)
        return Recipe(
            source=self.data,
            fingerprint=volumes.fingerprint,
            spacing_mm=self.spacing_mm,
            crop_size=self.crop_size * MASKINGS[self.masking].crop_scale,
            train=split.train,
            held_out=split.val,
            crops_per_subject=4,
            validation_seed=derive_seed("pretraining", "validation") >> 1,
        )


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training left.

    Attributes:
        weights: safetensors of the encoder alone, whose names begin with ``model.encoder.``.
        model: ``model``, ``img_size`` and sizes, for :func:`studykit.methods.build_method`.
        card: what ``card.json`` holds.
    """

    weights: Path
    model: dict[str, Any]
    card: dict[str, Any]


def pretrain(plan: PretrainingPlan, folder: str | Path, *, nproc: int = 1) -> Pretrained:
    """Train, resume or find a pre-training, and leave its weights and card in ``folder``.

    Raises:
        ValueError: options that the method or the backbone does not take, or too few subjects.
        KeyboardInterrupt: a signal stopped it; the same call goes on from its last checkpoint.
        RuntimeError: it diverged, or its features collapsed; the message says which.
    """
    recipe = plan.recipe()
    init, order = (derive_seed("pretraining", word, plan.seed) for word in ("weights", "order"))
    config = run_config("mim", plan.options, recipe, plan.training, init_seed=init, training_seed=order)
    label = f"pre-training of {plan.backbone} on {plan.data}"
    run = RunStore(runs_dir()).execute(config, label, lambda r: work(r, nproc=nproc, show=True))
    if run.state == "interrupted":
        raise KeyboardInterrupt(f"{label} was interrupted; run again to go on")
    if run.state != "done":
        raise RuntimeError(f"{label} ended {run.state}: {run.status.message}. Try a smaller learning rate.")
    return release(run, folder)


def release(run: Run, folder: str | Path) -> Pretrained:
    """Leave the encoder of a run that is done, of any study, with its card in a folder.

    Raises:
        ValueError: the run is not done, or its network has no part that is called encoder.
    """
    if run.state != "done":
        raise ValueError(f"{run.label} is {run.state or 'not run yet'}: a run is released when it is done")
    method, seen = trained_method(run), run.config["data"]["train"]
    if not any(name.startswith(ENCODER) for name in method.state_dict()):
        raise ValueError(f"{run.label}: its network has no encoder that another could take over")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    card = _card(run)
    told = {"method": run.config["method"], "run": run.key, "subjects": [*map(subject_mark, seen)]}
    export_weights(method, folder / WEIGHTS, told, under=ENCODER)
    atomic.write_json(folder / f"{CARD}.json", card)
    atomic.write_text(folder / f"{CARD}.md", _in_words(card))
    return Pretrained(folder / WEIGHTS, card["model"], card)


def load_encoder(method: nn.Module, weights: str | Path) -> TransferReport:
    """Put a pre-trained encoder into a method of the same backbone, such as a segmenter or a detector.

    Args:
        method: gets the encoder's weights, in place.
        weights: the file, or the folder that :func:`pretrain` or a release has left, with weights and card.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no weights file.
        ValueError: it is of another architecture; the message names what differs.
    """
    return transfer_weights(method, load_weights(weights_file(weights))[0], ("encoder",))


def weights_file(place: str | Path) -> Path:
    """The file of weights at a place: the file itself, or that of a folder with a card.

    Raises:
        FileNotFoundError: there is none.
    """
    place = Path(place).expanduser().absolute()
    file = place / WEIGHTS if place.is_dir() else place
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; give weights that `studykit pretrain` left, or their folder"
        )
    return file


def read_card(place: str | Path) -> dict[str, Any]:
    """What the card beside some weights says: network, method, data, licence, cost.

    Raises:
        FileNotFoundError: no weights there, or no card beside them.
    """
    card = weights_file(place).with_name(f"{CARD}.json")
    if not card.is_file():
        raise FileNotFoundError(f"{card}: no such file; weights are released with their card")
    return json.loads(card.read_text(encoding="utf-8"))


def network_options(method: Mapping[str, Any]) -> dict[str, Any]:
    """``model``, ``img_size`` and sizes of a method, given as runs name it, without those of its head."""
    options = method["options"]
    model = options.get("model", METHODS[method["name"]].architecture)
    own = set(inspect.signature(MODELS[model]).parameters) - {"num_classes"}
    return {"model": model, **{name: value for name, value in options.items() if name in own}}


def subject_mark(subject: str) -> str:
    """What stands for a subject in a file of weights: a digest, which tells whether one is known, not who."""
    return text_sha256(f"subject:{subject}")[:16]


def _card(run: Run) -> dict[str, Any]:
    data, last = run.config["data"], run.metrics.iloc[-1]
    source, cost = describe_source(data["source"]), cost_of(run, operations_of_step(run.config))
    return {
        "model": network_options(run.config["method"]),
        "method": run.config["method"],
        "training": run.config["training"],
        "versions": run.config["versions"],
        "data": {
            "source": data["source"] if own_path(data["source"]) is None else "data of one's own",
            "holds": source.holds,
            "licence": source.licence,
            "citation": source.citation,
            "fingerprint": data["fingerprint"],
            "spacing_mm": data["spacing_mm"],
            "training_subjects": len(data["train"]),
            "held_out_subjects": len(data["held_out"]),
        },
        "losses": {
            name: float(last[name])
            for name in run.metrics.columns
            if name == "val/error" or name.startswith("train/")
        },
        "cost": asdict(cost),
        "licence": f"The weights are made from data under this licence: {source.licence}.",
        "run": run.key,
    }


def _in_words(card: Mapping[str, Any]) -> str:
    data, losses = card["data"], card["losses"]
    sizes = ", ".join(f"{name} {json.dumps(value)}" for name, value in card["model"].items())
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in losses.items())
    return f"""# Pre-trained encoder

- **Network**: {sizes}.
- **Data**: {data["source"]} ({data["holds"]}) at {data["spacing_mm"]:g} mm.
  {data["training_subjects"]} subjects trained, {data["held_out_subjects"]} were held out. {data["citation"]}
- **Method**: `{json.dumps(card["method"], sort_keys=True)}`
- **Training**: {card["training"]["steps"]} steps of {card["training"]["batch_size"]} crops.
- **Cost**: {Cost(**card["cost"])}.
- **Licence**: {card["licence"]}
- **Use**: `load_encoder(method, "weights.safetensors")` of `studykit.pretraining`. Not a medical device.
  Whether it helps is for a study with labels to say.

| at the end | value |
|---|---|
{rows}
"""
