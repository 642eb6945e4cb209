"""What fusion and adaptive attention bring: what notebook 11 needs besides :mod:`studykit.study`."""

from studykit.figures.forest import gain_forest
from studykit.figures.panels import validation_panels
from studykit.figures.planes import SAGITTAL, planes_grid
from studykit.figures.scores import score_panels, segmentation_panel
from studykit.figures.style import use_style
from studykit.studies.spine_ablation import effects
from studykit.studies.spine_ablation.costs import cost_rows, costs_by_crop
from studykit.studies.spine_ablation.edges import central_crop, edge_row, edge_strength, first_layer
from studykit.studies.spine_ablation.figures import banded_lines, sagittal_maps
from studykit.studies.spine_ablation.fusion_weights import kernel_weights
from studykit.studies.spine_ablation.matched_size import matched_swin_unetr
from studykit.studies.spine_ablation.reported_triple import consistency
from studykit.studies.spine_ablation.robustness import called_foreground, dice_measure, noisy
from studykit.studies.spine_ablation.structure_scores import (
    single_structures,
    small_structures,
    structure_measure,
    whole_structures,
)
from studykit.study.scores import own_scores
from studykit.tasks.sliding_window import segment_volume

__all__ = [
    "SAGITTAL",
    "banded_lines",
    "called_foreground",
    "central_crop",
    "consistency",
    "cost_rows",
    "costs_by_crop",
    "dice_measure",
    "edge_row",
    "edge_strength",
    "effects",
    "first_layer",
    "gain_forest",
    "kernel_weights",
    "matched_swin_unetr",
    "noisy",
    "own_scores",
    "planes_grid",
    "sagittal_maps",
    "score_panels",
    "segment_volume",
    "segmentation_panel",
    "single_structures",
    "small_structures",
    "structure_measure",
    "use_style",
    "validation_panels",
    "whole_structures",
]
