"""What BertsWin costs: what notebook 02 needs besides :mod:`studykit.study`."""

from studykit.figures.costs import cost_bars
from studykit.figures.style import use_style
from studykit.models import build_model
from studykit.studies.bertswin_compute.cost_model import bertswin_operations, mae_operations
from studykit.studies.bertswin_compute.counting import counted, timed
from studykit.studies.bertswin_compute.figures import cost_growth, step_costs
from studykit.studies.bertswin_compute.monai_mae import monai_autoencoder

__all__ = [
    "bertswin_operations",
    "build_model",
    "cost_bars",
    "cost_growth",
    "counted",
    "mae_operations",
    "monai_autoencoder",
    "step_costs",
    "timed",
    "use_style",
]
