"""Does pre-training nnFormer save labels: what notebook 09 needs besides :mod:`studykit.study`."""

from studykit.figures.forest import gain_forest
from studykit.figures.outlines import Case, outline_grid
from studykit.figures.panels import validation_panels
from studykit.figures.reconstructions import mask_picture, reconstruction_panel
from studykit.figures.scores import score_panels
from studykit.figures.style import use_style
from studykit.studies.nnformer_data_efficiency.figures import dice_by_labels
from studykit.studies.nnformer_data_efficiency.label_efficiency import (
    crossed_gain,
    gain_ends,
    largest_fall,
    paired_gain,
    sooner,
    sooner_cells,
)
from studykit.studies.nnformer_data_efficiency.tables import (
    by_class,
    by_subject,
    map_rows,
    operations_of,
    score_cells,
    subset_rows,
)
from studykit.study.scores import mean_dice
from studykit.tasks.reconstruction import held_out_crops, held_out_masks
from studykit.tasks.sliding_window import segment_volume
from studykit.training.transfer import TransferReport

__all__ = [
    "Case",
    "TransferReport",
    "by_class",
    "by_subject",
    "crossed_gain",
    "dice_by_labels",
    "gain_ends",
    "gain_forest",
    "held_out_crops",
    "held_out_masks",
    "largest_fall",
    "map_rows",
    "mask_picture",
    "mean_dice",
    "operations_of",
    "outline_grid",
    "paired_gain",
    "reconstruction_panel",
    "score_cells",
    "score_panels",
    "segment_volume",
    "sooner",
    "sooner_cells",
    "subset_rows",
    "use_style",
    "validation_panels",
]
