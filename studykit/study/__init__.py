"""Studies as notebooks see them: ``from studykit.study import open_study``."""

from studykit.claims.paper import studies
from studykit.study.opening import open_study
from studykit.study.study import Study

__all__ = ["Study", "open_study", "studies"]
