"""What wavelets save in attention: what notebook 06 needs besides :mod:`studykit.study`."""

from studykit.data.sources import prepared_source
from studykit.figures.costs import cost_bars
from studykit.figures.panels import Panel, training_panels
from studykit.figures.scores import COLOURS, Differences, paired_differences, score_panels, segmentation_panel
from studykit.figures.style import use_style
from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.studies.waveformer_efficiency.attention_cost import block_operations, measure_block
from studykit.studies.waveformer_efficiency.bands import (
    bands_of,
    by_details,
    residual,
    share_of_detail,
    shares_of,
    white_noise,
)
from studykit.studies.waveformer_efficiency.figures import attention_growth, band_pictures, measured_costs
from studykit.studies.waveformer_efficiency.kept_memory import (
    kept_by_block,
    kept_by_call,
    repeated,
    times_more,
    weights_bytes,
)
from studykit.studies.waveformer_efficiency.parameters import (
    described,
    over_seeds,
    parameters_by_part,
    parameters_by_reading,
    swin_unetr_parameters,
)
from studykit.studies.waveformer_efficiency.without_wavelets import (
    by_pooling,
    gate_rows,
    largest_gap,
    pooled_and_back,
)
from studykit.tasks.sliding_window import segment_volume

__all__ = [
    "COLOURS",
    "Differences",
    "Panel",
    "attention_growth",
    "band_pictures",
    "bands_of",
    "block_operations",
    "build_model",
    "by_details",
    "by_pooling",
    "cost_bars",
    "count_parameters",
    "described",
    "gate_rows",
    "kept_by_block",
    "kept_by_call",
    "largest_gap",
    "measure_block",
    "measured_costs",
    "over_seeds",
    "paired_differences",
    "parameters_by_part",
    "parameters_by_reading",
    "pooled_and_back",
    "prepared_source",
    "repeated",
    "residual",
    "score_panels",
    "segment_volume",
    "segmentation_panel",
    "share_of_detail",
    "shares_of",
    "swin_unetr_parameters",
    "times_more",
    "training_panels",
    "use_style",
    "weights_bytes",
    "white_noise",
]
