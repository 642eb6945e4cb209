"""``cohort:DESIGN/SCANNER:N``: subjects drawn from label maps, see :mod:`studykit.data.cohorts`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.cohorts.designs import (
    COHORT,
    DESIGNS,
    Design,
    cohort_settings,
    read_cohort_name,
    traits_of_group,
)
from studykit.data.files import samples
from studykit.data.files.archives import Archive
from studykit.data.files.traits import Traits
from studykit.data.kinds.kind import MadeKind, Source, megabytes
from studykit.data.kinds.samples import BODIES

if TYPE_CHECKING:
    from studykit.data.volumes.cache import Prepared

RECIPE = "Recipe of the images: Billot et al. 2023, Med Image Anal 86:102789"
TRUTH_SPACING_MM = 4.0
"""Of the volumes that are not made when only the truth about the subjects is asked; any would do."""


class Cohorts(MadeKind):
    prefix = COHORT
    labelled = True
    with_traits = tuple(f"{COHORT}{design.name}/SCANNER:N" for design in DESIGNS.values() if design.traits)

    def lines(self) -> tuple[Source, ...]:
        return tuple(_line(design) for design in DESIGNS.values())

    def knows(self, name: str) -> bool:
        read_cohort_name(name)
        return True

    def archives(self, name: str) -> tuple[Archive, ...]:
        return _archives(read_cohort_name(name).design)

    def templates(self, name: str) -> tuple[str, ...]:
        return read_cohort_name(name).design.templates

    def make(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        from studykit.data.cohorts.cohort import make_cohort

        return make_cohort(cohort_settings(name, spacing_mm), cache=cache)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        return dict(enumerate(read_cohort_name(name).design.classes, start=1))

    def traits(self, name: str, cache: Path) -> Traits | None:
        from studykit.data.cohorts.subjects import draw_subjects

        design = read_cohort_name(name).design
        if not design.traits:
            return None
        plans = draw_subjects(cohort_settings(name, spacing_mm=TRUTH_SPACING_MM))
        return Traits(
            {trait.name: trait.values for trait in design.traits},
            {plan.id: traits_of_group(design, plan.group) for plan in plans},
            scanner={plan.id: plan.scanner.name for plan in plans},
            template={plan.id: plan.template for plan in plans},
        )


def _archives(design: Design) -> tuple[Archive, ...]:
    table = (*samples.ATLASES, *samples.DONORS, *samples.BODIES)
    return tuple(sample.archive for sample in table if sample.subject in design.templates)


def _terms(design: Design) -> tuple[str, str]:
    """Licence and citation: those of the bodies' maps where all templates are bodies."""
    if set(design.templates) <= {sample.subject for sample in samples.BODIES}:
        return BODIES.licence, f"{BODIES.citation}. {RECIPE}"
    return "the label maps', partly non-commercial: do not redistribute", RECIPE


def _line(design: Design) -> Source:
    differ = "".join(f"; {trait.name}: {' or '.join(trait.values)}" for trait in design.traits)
    sides = " x ".join(f"{side:g}" for side in design.field_mm)
    return Source(
        f"{COHORT}{design.name}/SCANNER:N",
        f"N synthetic {design.name}, {sides} mm, labelled: {', '.join(design.classes)}; SCANNER is one of "
        f"{', '.join(design.scanners)}, or several joined by +{differ}",
        None,
        megabytes(_archives(design)),
        *_terms(design),
        "drawn from label maps, once for each subject",
    )


KIND = Cohorts()
