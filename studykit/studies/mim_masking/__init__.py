"""Which masks help to find aneurysms: what notebook 08 needs besides :mod:`studykit.study`."""

from studykit.data.angiography.cohort import open_angiography
from studykit.data.angiography.sites import PRESENT
from studykit.figures.curves import arm_by_arm
from studykit.figures.forest import gain_forest
from studykit.figures.scores import paired_differences, score_panels
from studykit.figures.style import use_style
from studykit.methods import build_method
from studykit.methods.mim_views import ThreeLevelMasks, three_level_views
from studykit.metrics.compute import count_flops
from studykit.studies.mim_masking.alignment_floor import losses_by_agreement
from studykit.studies.mim_masking.cohort import (
    diameters,
    image_and_vesselness,
    masked_out,
    shares_hidden,
    stacked,
)
from studykit.studies.mim_masking.detection_scores import (
    auc_bootstrap,
    auc_by_size,
    challenge_score,
    present_auc,
)
from studykit.studies.mim_masking.figures import (
    Masked,
    Pointed,
    auc_by_diameter,
    contrastive_floors,
    curve_panels,
    found_and_missed,
    judged_panel,
    masking_pictures,
)
from studykit.studies.mim_masking.painted_tissue import TISSUES, hidden_errors_by_label
from studykit.studies.mim_masking.pointing import surest_places, touches
from studykit.studies.mim_masking.projections import projected, projections_figure
from studykit.studies.mim_masking.second_level import second_level_rows
from studykit.tasks.reconstruction import paint

__all__ = [
    "PRESENT",
    "TISSUES",
    "Masked",
    "Pointed",
    "ThreeLevelMasks",
    "arm_by_arm",
    "auc_bootstrap",
    "auc_by_diameter",
    "auc_by_size",
    "build_method",
    "challenge_score",
    "contrastive_floors",
    "count_flops",
    "curve_panels",
    "diameters",
    "found_and_missed",
    "gain_forest",
    "hidden_errors_by_label",
    "image_and_vesselness",
    "judged_panel",
    "losses_by_agreement",
    "masked_out",
    "masking_pictures",
    "open_angiography",
    "paint",
    "paired_differences",
    "present_auc",
    "projected",
    "projections_figure",
    "score_panels",
    "second_level_rows",
    "shares_hidden",
    "stacked",
    "surest_places",
    "three_level_views",
    "touches",
    "use_style",
]
