"""What sparse convolution brings: what notebook 07 needs besides :mod:`studykit.study`."""

from studykit.figures.panels import Panel, training_panels, validation_panels
from studykit.figures.reconstructions import reconstruction_panel
from studykit.figures.scores import Differences, paired_differences, score_panels, segmentation_panel
from studykit.figures.style import use_style
from studykit.layers import minkowski
from studykit.layers.patch_conv import BACKENDS
from studykit.runs.weights import new_method
from studykit.studies.spark_sparsity.arms import described
from studykit.studies.spark_sparsity.conv_backends import DENSE, MINKOWSKI, race, turns
from studykit.studies.spark_sparsity.figures import effects_by_layer, stage_pictures, times_by_share
from studykit.studies.spark_sparsity.mask_pattern import (
    largest_changes,
    layers_of,
    mask_effects,
    replacements,
    three_readings,
    with_backend,
    without_norms,
)
from studykit.studies.spark_sparsity.tables import by_layer, dice_by_structure, mean_distances
from studykit.tasks.reconstruction import held_out_crops, hidden_error
from studykit.tasks.sliding_window import segment_volume

__all__ = [
    "BACKENDS",
    "DENSE",
    "MINKOWSKI",
    "Differences",
    "Panel",
    "by_layer",
    "described",
    "dice_by_structure",
    "effects_by_layer",
    "held_out_crops",
    "hidden_error",
    "largest_changes",
    "layers_of",
    "mask_effects",
    "mean_distances",
    "minkowski",
    "new_method",
    "paired_differences",
    "race",
    "reconstruction_panel",
    "replacements",
    "score_panels",
    "segment_volume",
    "segmentation_panel",
    "stage_pictures",
    "three_readings",
    "times_by_share",
    "training_panels",
    "turns",
    "use_style",
    "validation_panels",
    "with_backend",
    "without_norms",
]
