"""The evidence of a study at a profile: a folder of figures, tables and verdicts, and what each rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim, claims_of_study, find_claim
from studykit.claims.reading import MAIN
from studykit.claims.verdict import Verdict, judge
from studykit.report.judging import measured
from studykit.report.record import Record, write_verdicts
from studykit.report.tables import write_table
from studykit.runs.provenance import provenance
from studykit.runs.run_table import FILE as RUNS
from studykit.runs.run_table import write_run_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from studykit.study.ground import Ground
    from studykit.study.trials import Trials


class EvidenceFolder:
    """A folder that figures, tables and verdicts go to; a verdict names those that were saved before it."""

    def __init__(self, study: str, profile: str, folder: Path) -> None:
        self.study = study
        self.profile = profile
        self.folder = folder
        self._provenance = provenance()
        self._figures: list[tuple[str, str]] = []
        self._tables: list[str] = []
        self._rows: list[dict[str, str]] = []

    def save_figure(self, figure: "Figure", name: str, description: str) -> None:
        """Write a figure as SVG and PNG; the description is its alt text."""
        from studykit.figures.style import save_figure

        save_figure(figure, self.folder, name)
        self._figures = [f for f in self._figures if f[0] != f"{name}.svg"] + [(f"{name}.svg", description)]

    def save_table(self, table: pd.DataFrame, name: str, caption: str) -> None:
        """Write a table as CSV, Markdown and LaTeX."""
        write_table(table, self.folder, name, caption=caption)
        self._tables = [t for t in self._tables if t != f"{name}.csv"] + [f"{name}.csv"]

    def conclude(
        self, claim: Claim | str, estimate: Estimate | None, ground: "Ground", trials: "Trials"
    ) -> Verdict:
        """Judge a claim by its rule, and write the verdict with the data and the runs that it rests on.

        Every run goes into one table beside the verdicts. Gates and alternatives are read from it and from
        the tables saved before, as the claim says; so is the rule's own estimate where they hold it, and
        ``estimate`` is taken where they do not. So the verdict follows from its folder alone.

        Raises:
            ValueError: the claim is unknown, or belongs to another study.
        """
        claim = find_claim(claim) if isinstance(claim, str) else claim
        if claim.study != self.study:
            own = ", ".join(c.key for c in claims_of_study(self.study))
            raise ValueError(f"{claim.key} belongs to {claim.study}; claims of {self.study}: {own}.")
        tables = [*self._tables, *self._write_runs(trials)]
        kind = estimate.kind if estimate else ground.profile.evidence
        beside = measured(claim, self.folder, kind, tables)
        verdict = judge(claim, beside.pop(MAIN, estimate), profile=self.profile, beside=beside)
        facts: dict[str, Any] = self._provenance | {"runs": trials.provenance()}
        record = Record(
            verdict,
            facts,
            cost=trials.cost(),
            data=ground.in_words(),
            n_cases=ground.held_out_subjects,
            figures=tuple(self._figures),
            tables=tuple(tables),
            notebook=f"{claim.notebook}.ipynb",
        )
        write_verdicts(self.folder, self.study, self.profile, [record])
        return verdict

    def _write_runs(self, trials: "Trials") -> list[str]:
        """Name of the table of runs, which is written anew where runs came in or their scores did."""
        rows = list(trials.rows())
        if not rows:
            return []
        if rows != self._rows:
            write_run_table(self.folder, rows)
            self._rows = rows
        return [RUNS]
