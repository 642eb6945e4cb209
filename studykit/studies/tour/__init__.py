"""What the tour looks at: sources, volumes, scanners, crops, masks and one run."""

from studykit.data.cohorts.cohort import volume_table
from studykit.data.cohorts.designs import cohort_settings
from studykit.data.crops.random_crops import RandomCrops, fixed_crops
from studykit.data.labelled import open_labelled
from studykit.data.sources import list_sources
from studykit.figures.planes import planes_grid
from studykit.figures.reconstructions import reconstruction_panel
from studykit.figures.style import show, use_style
from studykit.figures.viewer import show_masks
from studykit.masking import random_patch_mask
from studykit.studies.tour.figures import scanner_grid

__all__ = [
    "RandomCrops",
    "cohort_settings",
    "fixed_crops",
    "list_sources",
    "open_labelled",
    "planes_grid",
    "random_patch_mask",
    "reconstruction_panel",
    "scanner_grid",
    "show",
    "show_masks",
    "use_style",
    "volume_table",
]
