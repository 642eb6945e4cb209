"""The verbs pretrain and release: an encoder from own volumes, or from a run, with its card."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from studykit.cli.words import extend_help, value_of


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "pretrain", help="pre-train an encoder: backbone, masking, objective and data by name"
    )
    verb.add_argument("--data", required=True, help="source of volumes, such as folder:PATH")
    verb.add_argument("--out", required=True, type=Path, help="folder for the weights and their card")
    verb.add_argument("--backbone", default="wave-unet", help="architecture (default wave-unet)")
    verb.add_argument("--masking", default="nested", help="random, nested (default), three-level or vessel")
    verb.add_argument(
        "--objective", default="reconstruction+alignment",
        help="reconstruction, reconstruction+alignment (default) or normalised-reconstruction",
    )  # fmt: skip
    verb.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel size (default 1)")
    verb.add_argument("--crop", type=int, default=96, metavar="VOXELS", help="side of a crop (default 96)")
    verb.add_argument("--steps", type=int, default=1000, help="optimizer steps (default 1000)")
    verb.add_argument("--batch", type=int, default=4, help="crops a step (default 4)")
    verb.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default 0.001)")
    verb.add_argument("--precision", default="fp32", help="fp32 (default) or bf16")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--nproc", type=int, default=1, help="processes, one a GPU (default 1)")
    verb.add_argument(
        "-o", "--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="backbone option; VALUE is JSON, or else text",
    )  # fmt: skip
    verb.set_defaults(action=pretrain)
    extend_help(verb, _parts)
    verb = verbs.add_parser("release", help="the encoder of a run that is done, as weights with their card")
    verb.add_argument("run", help="its folder's name, or the beginning of it, see studykit runs list")
    verb.add_argument("--out", required=True, type=Path, help="folder for the weights and their card")
    verb.set_defaults(action=release)


def _parts() -> Iterator[str]:
    """What each part may be."""
    from studykit.methods.mim_masks import MASKINGS
    from studykit.models import MODELS
    from studykit.models.encoder_decoder import EncoderDecoder
    from studykit.pretraining import OBJECTIVES

    backbones = [name for name, model in MODELS.items() if issubclass(model, EncoderDecoder)]
    for part, names in (("backbones", backbones), ("maskings", MASKINGS), ("objectives", OBJECTIVES)):
        yield f"{part}: {', '.join(names)}"


def pretrain(options: argparse.Namespace) -> int:
    from studykit.pretraining import PretrainingPlan, pretrain

    plan = PretrainingPlan(
        data=value_of("data", options.data),
        backbone=options.backbone,
        backbone_options={name: value_of(name, text) for name, text in options.option},
        masking=options.masking,
        objective=options.objective,
        spacing_mm=options.spacing,
        crop_size=options.crop,
        batch_size=options.batch,
        steps=options.steps,
        lr=options.lr,
        precision=options.precision,
        seed=options.seed,
    )
    done = pretrain(plan, options.out, nproc=options.nproc)
    print(done.weights.with_name("card.md").read_text(encoding="utf-8"))
    print(done.weights)
    return 0


def release(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.pretraining import release
    from studykit.runs.store import RunStore

    found = [run for run in RunStore(runs_dir()).list() if run.key.startswith(options.run)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} runs begin with {options.run!r}; studykit runs list names them all")
    print(release(found[0], options.out).weights)
    return 0
