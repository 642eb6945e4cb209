"""Notebooks: which there are, one of them executed, many in a batch."""

from studykit.notebooks.batch import run_batch
from studykit.notebooks.catalogue import (
    check_parameters,
    notebook_of,
    notebooks,
    parameters_of,
    study_of,
    texts_of,
)
from studykit.notebooks.execution import Execution, run_notebook

__all__ = [
    "Execution",
    "check_parameters",
    "notebook_of",
    "notebooks",
    "parameters_of",
    "run_batch",
    "run_notebook",
    "study_of",
    "texts_of",
]
