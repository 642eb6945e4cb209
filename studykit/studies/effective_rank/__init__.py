"""Does effective rank tell encoders apart: what notebook 03 needs besides :mod:`studykit.study`."""

from studykit.data.crops.random_crops import fixed_crops
from studykit.figures.panels import Panel, training_panels
from studykit.figures.style import use_style
from studykit.layers.patches import patchify
from studykit.metrics.effective_rank import DEFINITIONS, effective_rank
from studykit.probes.features import pooled_features, token_features
from studykit.probes.labelled_heads import labelled_heads, probe_both_ways
from studykit.probes.tissues import TISSUES
from studykit.studies.effective_rank.encoder_rows import encoder_row, spread_row
from studykit.studies.effective_rank.figures import activation_histograms, quality_against_rank
from studykit.studies.effective_rank.known_spectra import entropy_rank, known_spectrum
from studykit.studies.effective_rank.views import correlations, paths

__all__ = [
    "DEFINITIONS",
    "TISSUES",
    "Panel",
    "activation_histograms",
    "correlations",
    "effective_rank",
    "encoder_row",
    "entropy_rank",
    "fixed_crops",
    "known_spectrum",
    "labelled_heads",
    "patchify",
    "paths",
    "pooled_features",
    "probe_both_ways",
    "quality_against_rank",
    "spread_row",
    "token_features",
    "training_panels",
    "use_style",
]
