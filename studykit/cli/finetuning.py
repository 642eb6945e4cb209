"""The verb finetune: a segmenter, classifier or detector from an encoder and labelled volumes."""

import argparse
from pathlib import Path

from studykit.cli.words import value_of


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "finetune", help="train a segmenter, classifier or detector from an encoder, and test it once"
    )
    verb.add_argument("--data", required=True, help="labelled source: folder:PATH, rsna:PATH, msd:TASK, …")
    verb.add_argument("--out", required=True, type=Path, help="folder for weights, scores and card")
    verb.add_argument(
        "--encoder", type=Path, metavar="WEIGHTS",
        help="weights that pretrain left, or their folder; without, random weights",
    )  # fmt: skip
    verb.add_argument("--task", help="segmentation, classification or detection (default: by the data)")
    verb.add_argument("--trait", help="what classification tells apart, a column of the source's table")
    verb.add_argument("--model", help="architecture (default: the encoder's)")
    verb.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel size (default 1)")
    verb.add_argument("--crop", type=int, metavar="VOXELS", help="side of a crop (default: the encoder's)")
    verb.add_argument("--steps", type=int, default=1000, help="optimizer steps (default 1000)")
    verb.add_argument("--batch", type=int, default=2, help="crops a step (default 2)")
    verb.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default 0.001)")
    verb.add_argument("--precision", default="fp32", help="fp32 (default) or bf16")
    verb.add_argument("--val", type=float, default=0.15, help="share that validates (default 0.15)")
    verb.add_argument("--test", type=float, default=0.25, help="share that is tested once (default 0.25)")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--nproc", type=int, default=1, help="processes, one a GPU (default 1)")
    verb.add_argument(
        "-o", "--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="option of the model; VALUE is JSON, or else text",
    )  # fmt: skip
    verb.set_defaults(action=finetune)


def finetune(options: argparse.Namespace) -> int:
    from studykit.finetuning import FinetuningPlan, finetune

    plan = FinetuningPlan(
        data=value_of("data", options.data),
        encoder=options.encoder,
        task=options.task,
        trait=options.trait,
        model=options.model,
        model_options={name: value_of(name, text) for name, text in options.option},
        spacing_mm=options.spacing,
        crop_size=options.crop,
        batch_size=options.batch,
        steps=options.steps,
        lr=options.lr,
        precision=options.precision,
        val=options.val,
        test=options.test,
        seed=options.seed,
    )
    done = finetune(plan, options.out, nproc=options.nproc)
    print(done.weights.with_name("card.md").read_text(encoding="utf-8"))
    print(done.weights)
    return 0
