"""How soon BertsWin converges: what notebook 01 needs besides :mod:`studykit.study`."""

from studykit.figures.curves import convergence_curves, speedup_by_depth
from studykit.figures.planes import planes_grid
from studykit.figures.reconstructions import reconstruction_panel
from studykit.figures.style import show, use_style
from studykit.metrics.convergence import (
    largest_rise,
    speedup_over_range,
    speedup_profile,
    steps_to_own_targets,
)
from studykit.studies.bertswin_convergence.arms import described

__all__ = [
    "convergence_curves",
    "described",
    "largest_rise",
    "planes_grid",
    "reconstruction_panel",
    "show",
    "speedup_by_depth",
    "speedup_over_range",
    "speedup_profile",
    "steps_to_own_targets",
    "use_style",
]
