"""One fine-tuning from its plan to weights, scores and card."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from studykit import atomic
from studykit.data.files.digests import file_sha256
from studykit.data.sources import describe_source, own_path
from studykit.finetuning.grounds import GROUNDS, SegmentationGround
from studykit.finetuning.plan import METHODS, FinetuningPlan
from studykit.home import runs_dir
from studykit.pretraining import CARD, WEIGHTS, subject_mark
from studykit.runs.cost import Cost
from studykit.runs.effort import cost_of, operations_of_step
from studykit.runs.store import Run, RunStore, derive_seed
from studykit.runs.training_run import START, TRANSFER, run_config, work
from studykit.runs.weights import best_method
from studykit.training.checkpoint import export_weights, load_weights
from studykit.training.loop import Outcome

SCORES = "scores.csv"


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning left.

    Attributes:
        weights: safetensors of the whole method, those that validated best.
        scores: of the test, a row a subject (and class).
        card: what ``card.json`` holds; ``card["test"]`` sums the scores up.
    """

    weights: Path
    scores: pd.DataFrame
    card: dict[str, Any]


def finetune(plan: FinetuningPlan, folder: str | Path, *, nproc: int = 1) -> Finetuned:
    """Train, resume or find a fine-tuning; leave its weights, test scores and card in ``folder``.

    Raises:
        ValueError: options that method or network do not take, an encoder of another architecture, or too few
            subjects.
        KeyboardInterrupt: a signal stopped it; the same call goes on from its last checkpoint.
        RuntimeError: it diverged; the message says so.
    """
    network = plan.network()
    ground = GROUNDS[plan.kind](plan, network["img_size"])
    run = _trained(plan, ground, network, nproc)
    rows = ground.scores(run)
    card = _card(plan, ground, run, rows)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"method": run.config["method"], "run": run.key, "test": card["test"]}
    export_weights(best_method(run), folder / WEIGHTS, told)
    ground.split.save(folder / "split.json")
    atomic.write_text(folder / SCORES, rows.to_csv(index=False))
    atomic.write_json(folder / f"{CARD}.json", card)
    atomic.write_text(folder / f"{CARD}.md", _in_words(card))
    return Finetuned(folder / WEIGHTS, rows, card)


def _trained(plan: FinetuningPlan, ground: SegmentationGround, network: dict[str, Any], nproc: int) -> Run:
    weights = plan.weights
    config = run_config(
        METHODS[plan.kind],
        {**network, **ground.options()},
        ground.recipe(),
        plan.training,
        init_seed=derive_seed("finetuning", "weights", plan.seed),
        training_seed=derive_seed("finetuning", "order", plan.seed),
        starts_with="" if weights is None else file_sha256(weights),
        parts=("encoder",),
    )

    def from_encoder(run: Run) -> Outcome:
        if weights is not None and not (run.folder / START).exists():
            with atomic.replace_into(run.folder / START) as temporary:
                shutil.copyfile(weights, temporary)
        return work(run, nproc=nproc, show=True)

    label = f"{plan.kind} on {plan.data}, {'random weights' if weights is None else 'pre-trained'}"
    run = RunStore(runs_dir()).execute(config, label, from_encoder)
    if run.state == "interrupted":
        raise KeyboardInterrupt(f"{label} was interrupted; run again to go on")
    if run.state != "done":
        raise RuntimeError(f"{label} ended {run.state}: {run.status.message}. Try a smaller learning rate.")
    return run


def _card(plan: FinetuningPlan, ground: SegmentationGround, run: Run, rows: pd.DataFrame) -> dict[str, Any]:
    source, config, weights = describe_source(plan.data), run.config, plan.weights
    start: dict[str, Any] = {"encoder": "random weights"}
    if weights is not None:
        taken = json.loads((run.folder / TRANSFER).read_text(encoding="utf-8"))
        seen = load_weights(weights)[1].get("subjects")
        start = {
            "encoder": "pre-trained",
            "sha256": config["start"]["weights"],
            "share": taken["share"],
            "test_subjects_seen": seen
            and sum(subject_mark(subject) in seen for subject in ground.split.test),
        }
    return {
        "task": plan.kind,
        "classes": list(config["data"].get("classes", ())),
        "trait": plan.trait,
        "method": config["method"],
        "start": start,
        "training": config["training"],
        "versions": config["versions"],
        "data": {
            "source": plan.data if own_path(plan.data) is None else "data of one's own",
            "holds": source.holds,
            "licence": source.licence,
            "citation": source.citation,
            "fingerprint": config["data"]["fingerprint"],
            "spacing_mm": plan.spacing_mm,
            "subjects": {name: len(ids) for name, ids in asdict(ground.split).items()},
        },
        "test": {name: None if value != value else value for name, value in ground.summary(rows).items()},
        "cost": asdict(cost_of(run, operations_of_step(config))),
        "licence": f"The weights are made from data under this licence: {source.licence}.",
        "run": run.key,
    }


def _in_words(card: Mapping[str, Any]) -> str:
    data, start = card["data"], card["start"]
    subjects = data["subjects"]
    rows = "\n".join(
        f"| {name} | {'not defined' if value is None else f'{value:.4f}'} |"
        for name, value in card["test"].items()
    )
    begun = start["encoder"]
    if "share" in start:
        begun += f", {start['share']:.0%} of the parameters, from the file of SHA-256 `{start['sha256']}`; "
        begun += _seen_in_words(start["test_subjects_seen"], subjects["test"])
    return f"""# {card["task"].capitalize()}, fine-tuned

- **Data**: {data["source"]} ({data["holds"]}) at {data["spacing_mm"]:g} mm, split by subject:
  {subjects["train"]} trained, {subjects["val"]} chose the weights, {subjects["test"]} were tested once.
  {data["citation"]}
- **Start**: {begun}.
- **Method**: `{json.dumps(card["method"], sort_keys=True)}`
- **Training**: {card["training"]["steps"]} steps of {card["training"]["batch_size"]} crops.
- **Cost**: {Cost(**card["cost"])}.
- **Licence**: {card["licence"]}
- **Use**: not a medical device. One seed and one split: whether the encoder helps needs a baseline from
  random weights, and several seeds of both.

| on the test subjects | value |
|---|---|
{rows}
"""


def _seen_in_words(seen: int | None, test: int) -> str:
    if seen is None:
        return "whom it was pre-trained on is not known, test subjects may be among them"
    if seen == 0:
        return "it was pre-trained on none of the test subjects"
    return f"**it was pre-trained on images of {seen} of the {test} test subjects**, without labels"
