"""Which part of BertsWin matters: what notebook 12 needs besides :mod:`studykit.study`."""

from studykit.figures.curves import convergence_curves
from studykit.figures.planes import planes_grid
from studykit.figures.scores import score_panels, segmentation_panel
from studykit.figures.style import show, use_style
from studykit.layers.patches import untile
from studykit.metrics.convergence import steps_to_own_targets
from studykit.probes.segmentation import MODES, SCORED, ProbeSettings, tiled_heads, train_segmenter
from studykit.probes.tissues import LABELLED_HEADS, TISSUES
from studykit.studies.bertswin_ablations.arms import DEEP, SHALLOW, cells_of, described, speedups_by_depth
from studykit.studies.bertswin_ablations.figures import ratio_forest
from studykit.studies.bertswin_ablations.probing import (
    PROBE_COLUMNS,
    by_mode,
    over_seeds,
    paired_difference,
    probe_rows,
)

__all__ = [
    "DEEP",
    "LABELLED_HEADS",
    "MODES",
    "PROBE_COLUMNS",
    "SCORED",
    "SHALLOW",
    "TISSUES",
    "ProbeSettings",
    "by_mode",
    "cells_of",
    "convergence_curves",
    "described",
    "over_seeds",
    "paired_difference",
    "planes_grid",
    "probe_rows",
    "ratio_forest",
    "score_panels",
    "segmentation_panel",
    "show",
    "speedups_by_depth",
    "steps_to_own_targets",
    "tiled_heads",
    "train_segmenter",
    "untile",
    "use_style",
]
