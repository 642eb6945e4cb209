"""What the structural loss does: what notebook 04 needs besides :mod:`studykit.study`."""

from studykit.data.sources import prepared_source
from studykit.data.volumes.volumes import HU_DEVIATION, HU_MEAN
from studykit.figures.panels import Panel
from studykit.figures.planes import planes_grid
from studykit.figures.reconstructions import reconstruction_panel
from studykit.figures.style import arm_style, show, use_style
from studykit.losses.tissue import tissue_masks
from studykit.metrics.interpolation import best_sigma, interpolate
from studykit.probes.segmentation import MODES, ProbeSettings, tiled_heads
from studykit.studies.mvc_components.boundary_artefact import boundary_artefact_index
from studykit.studies.mvc_components.component_progress import (
    later_than,
    share_left,
    time_of_improvement,
    typical_time,
)
from studykit.studies.mvc_components.figures import (
    Intervals,
    arm_panels,
    gradient_by_deviation,
    interval_panels,
    tissue_picture,
)
from studykit.studies.mvc_components.painting import crops_and_masks, explained, painted_at
from studykit.studies.mvc_components.probing import probe_means
from studykit.studies.mvc_components.structure_terms import (
    TERMS,
    gap_row,
    gradient_bound,
    gradient_is_finite,
    gradient_norms,
    hidden_deviations,
    identity_gaps,
    share_below,
)
from studykit.studies.mvc_components.tissue_error import region_shares, tissue_errors, worst_over_best

__all__ = [
    "HU_DEVIATION",
    "HU_MEAN",
    "MODES",
    "TERMS",
    "Intervals",
    "Panel",
    "ProbeSettings",
    "arm_panels",
    "arm_style",
    "best_sigma",
    "boundary_artefact_index",
    "crops_and_masks",
    "explained",
    "gap_row",
    "gradient_bound",
    "gradient_by_deviation",
    "gradient_is_finite",
    "gradient_norms",
    "hidden_deviations",
    "identity_gaps",
    "interpolate",
    "interval_panels",
    "later_than",
    "painted_at",
    "planes_grid",
    "prepared_source",
    "probe_means",
    "reconstruction_panel",
    "region_shares",
    "share_below",
    "share_left",
    "show",
    "tiled_heads",
    "time_of_improvement",
    "tissue_errors",
    "tissue_masks",
    "tissue_picture",
    "typical_time",
    "use_style",
    "worst_over_best",
]
