"""Does GradientConductor speed training up: what notebook 05 needs besides :mod:`studykit.study`."""

from studykit.figures.reconstructions import mask_picture
from studykit.figures.style import use_style
from studykit.masking import inside_field_of_view
from studykit.metrics.compute import count_parameters
from studykit.metrics.convergence import speedup_profile
from studykit.models import build_model
from studykit.studies.gradient_conductor.conflict_figures import Example, conflict_rule, twin_curves
from studykit.studies.gradient_conductor.factor_figures import (
    CurvePanel,
    EffectRow,
    curve_panels,
    effect_panels,
)
from studykit.studies.gradient_conductor.main_effects import (
    Factorial,
    every_cell,
    ratio_of_speedups,
    times_by_cell,
    times_to_best,
    uncensored,
)
from studykit.studies.gradient_conductor.run_tables import (
    conflict_means,
    memory_held,
    ratio_cells,
    recorded,
    tried,
)
from studykit.studies.gradient_conductor.two_gradients import products, reconciled, shares_given_up
from studykit.training.conflict import ConflictRule

__all__ = [
    "ConflictRule",
    "CurvePanel",
    "EffectRow",
    "Example",
    "Factorial",
    "build_model",
    "conflict_means",
    "conflict_rule",
    "count_parameters",
    "curve_panels",
    "effect_panels",
    "every_cell",
    "inside_field_of_view",
    "mask_picture",
    "memory_held",
    "products",
    "ratio_cells",
    "ratio_of_speedups",
    "reconciled",
    "recorded",
    "shares_given_up",
    "speedup_profile",
    "times_by_cell",
    "times_to_best",
    "tried",
    "twin_curves",
    "uncensored",
    "use_style",
]
