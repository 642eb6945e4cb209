"""Verbs that take results elsewhere: results (tidy tables), track (TensorBoard, MLflow), export (nnU-Net)."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("results", help="every number behind every verdict, as one tidy CSV")
    verb.add_argument("--curves", action="store_true", help="the metrics of this machine's runs instead")
    verb.add_argument("--out", type=Path, metavar="FILE", help="a .csv or .parquet (default: CSV, printed)")
    verb.set_defaults(action=results)
    verb = verbs.add_parser("track", help="tell this machine's runs to TensorBoard or MLflow (local files)")
    verb.add_argument("tracker", help="tensorboard or mlflow")
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the tracker")
    verb.set_defaults(action=track)
    verb = verbs.add_parser("export", help="a residual encoder as a checkpoint that nnU-Net fine-tunes from")
    verb.add_argument("--encoder", type=Path, required=True, metavar="WEIGHTS", help="file or folder of one")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as checkpoint_final.pth")
    verb.set_defaults(action=export)


def results(options: argparse.Namespace) -> int:
    from studykit import atomic, home
    from studykit.claims.paper import load_papers
    from studykit.imports import how_to_get
    from studykit.report.tidy import curves_frame, estimates_frame

    if options.out is not None and options.out.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{options.out}: the name has to end in .csv or .parquet")
    if options.out is not None and options.out.suffix == ".parquet" and not find_spec("pyarrow"):
        raise RuntimeError(f"{options.out}: Parquet needs pyarrow: {how_to_get('tables')}")
    if options.curves:
        frame = curves_frame(home.runs_dir())
    else:
        frame = estimates_frame(home.results_dir(), load_papers())
    if options.out is None:
        frame.to_csv(sys.stdout, index=False)
        return 0
    with atomic.replace_into(options.out) as temporary:
        if options.out.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
    print(f"{len(frame)} rows in {options.out}")
    return 0


def track(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.runs.trackers import track

    print(f"{track(options.tracker, runs_dir(), options.out)} new record(s) in {options.out}")
    return 0


def export(options: argparse.Namespace) -> int:
    from studykit.finetuning.exporting import export_nnunet

    print(export_nnunet(options.encoder, options.out))
    return 0
