"""Studies as notebooks see them, and what every notebook of a study begins and ends with.

    from studykit.study import claim_card, claims_of_study, open_study, verdict_card

A notebook shows its claims, opens its study, names arms, runs them, holds gates and concludes. What it needs
besides comes from the folder of its own study, :mod:`studykit.studies`; so two lines import all of the kit.
"""

from studykit.claims.estimate import Estimate
from studykit.claims.paper import claims_of_study, find_claim, load_papers, studies
from studykit.claims.stats import mean_interval, paired_log_ratio
from studykit.claims.verdict import STATUSES
from studykit.data.volumes.tensors import volume_tensor, xyz_array
from studykit.home import results_dir
from studykit.report.cards import answer_card, claim_card, verdict_card
from studykit.runs import provenance
from studykit.runs.weights import best_method, kept_steps, method_at
from studykit.study.gates import OVER_INTERPOLATION, gates_table, lead_over_interpolation
from studykit.study.opening import open_study
from studykit.study.scores import HELD_OUT
from studykit.study.study import Study
from studykit.study.viewing import show_volume

__all__ = [
    "HELD_OUT",
    "OVER_INTERPOLATION",
    "STATUSES",
    "Estimate",
    "Study",
    "answer_card",
    "best_method",
    "claim_card",
    "claims_of_study",
    "find_claim",
    "gates_table",
    "kept_steps",
    "lead_over_interpolation",
    "load_papers",
    "mean_interval",
    "method_at",
    "open_study",
    "paired_log_ratio",
    "provenance",
    "results_dir",
    "show_volume",
    "studies",
    "verdict_card",
    "volume_tensor",
    "xyz_array",
]
