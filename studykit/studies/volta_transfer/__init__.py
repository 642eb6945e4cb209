"""What VolTA-3D carries over: what notebook 10 needs besides :mod:`studykit.study`."""

from studykit.claims.crossed import crossed_interval
from studykit.data.cohorts.designs import read_cohort_name
from studykit.data.traits import open_traits
from studykit.figures.forest import gain_forest
from studykit.figures.outlines import Case, outline_grid
from studykit.figures.panels import Panel, training_panels
from studykit.figures.style import use_style
from studykit.metrics.classification import calibration_error
from studykit.metrics.compute import count_parameters
from studykit.studies.volta_transfer.ceiling import trait_ceiling
from studykit.studies.volta_transfer.figures import reliability, slices_grid, token_maps
from studykit.studies.volta_transfer.frozen import attentive_rows, attentive_scores, frozen_scores, probe_rows
from studykit.studies.volta_transfer.gains import best_on_validation, crossed_gain, gain_row, subject_table
from studykit.studies.volta_transfer.probes import people_row, probe_loss, probes_of, traced
from studykit.studies.volta_transfer.tokens import class_attention, middle_of, token_similarity, views_shown
from studykit.tasks.classification import images_of

__all__ = [
    "Case",
    "Panel",
    "attentive_rows",
    "attentive_scores",
    "best_on_validation",
    "calibration_error",
    "class_attention",
    "count_parameters",
    "crossed_gain",
    "crossed_interval",
    "frozen_scores",
    "gain_forest",
    "gain_row",
    "images_of",
    "middle_of",
    "open_traits",
    "outline_grid",
    "people_row",
    "probe_loss",
    "probe_rows",
    "probes_of",
    "read_cohort_name",
    "reliability",
    "slices_grid",
    "subject_table",
    "token_maps",
    "token_similarity",
    "traced",
    "training_panels",
    "trait_ceiling",
    "use_style",
    "views_shown",
]
