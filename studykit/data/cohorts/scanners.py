"""Scanners of the semi-synthetic cohort: named distributions of what an acquisition does to an anatomy.

Two scanners are two domains. Contrasts are in the manner of T1- and T2-weighted MR (arbitrary units, white
matter of a T1-weighted image at 1) and of CT (HU). They are plausible, not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from studykit.data.cohorts.regions import TISSUES


@dataclass(frozen=True)
class Scanner:
    """An acquisition distribution.

    Attributes:
        modality: ``"T1w"``, ``"T2w"`` or ``"CT"``.
        means: (tissue, mean intensity) pairs, one for each of ``TISSUES``. Empty: every region of every
            subject has a mean of its own, uniform from 0 to 1, as in SynthSeg (Billot et al. 2023, Medical
            Image Analysis 86:102789); air stays at 0.
        spread: standard deviation of a tissue's mean between subjects, and of a structure's within its
            tissue.
        texture: standard deviation of voxels about their structure's mean, before blurring.
        bias: standard deviation of the logarithm of the smooth field that multiplies the image.
        resolution_mm: width at half maximum of the point spread along X, Y, Z, and the distance of slices
            where that is more than a voxel.
        noise: standard deviation of noise; in both channels of the complex image for MR.
    """

    name: str
    modality: str
    means: tuple[tuple[str, float], ...]
    spread: float
    texture: float
    bias: float
    resolution_mm: tuple[float, float, float]
    noise: float

    def __post_init__(self) -> None:
        given = [tissue for tissue, _ in self.means]
        if given and sorted(given) != sorted(TISSUES):
            raise ValueError(
                f"scanner {self.name}: means must name each tissue once or be empty; got {', '.join(given)}; "
                f"the tissues are {', '.join(TISSUES)}"
            )
        if min(self.spread, self.texture, self.bias, self.noise) < 0 or min(self.resolution_mm) <= 0:
            raise ValueError(f"scanner {self.name}: spreads must not be negative and resolutions positive")

    @property
    def is_ct(self) -> bool:
        return self.modality == "CT"


_T1 = Scanner(
    "t1",
    "T1w",
    (
        ("air", 0.0),
        ("lung", 0.05),
        ("fat", 1.35),
        ("fluid", 0.22),
        ("grey matter", 0.66),
        ("deep grey matter", 0.78),
        ("white matter", 1.0),
        ("muscle", 0.55),
        ("organ", 0.65),
        ("blood", 0.3),
        ("marrow", 0.9),
        ("bone", 0.12),
    ),
    spread=0.02,
    texture=0.035,
    bias=0.08,
    resolution_mm=(1.0, 1.0, 1.0),
    noise=0.02,
)
_T2 = Scanner(
    "t2-thick",
    "T2w",
    (
        ("air", 0.0),
        ("lung", 0.05),
        ("fat", 0.85),
        ("fluid", 1.5),
        ("grey matter", 0.72),
        ("deep grey matter", 0.6),
        ("white matter", 0.5),
        ("muscle", 0.3),
        ("organ", 0.5),
        ("blood", 0.2),
        ("marrow", 0.6),
        ("bone", 0.1),
    ),
    spread=0.03,
    texture=0.04,
    bias=0.12,
    resolution_mm=(1.0, 1.0, 5.0),
    noise=0.03,
)
_CT = Scanner(
    "ct",
    "CT",
    (
        ("air", -1000.0),
        ("lung", -840.0),
        ("fat", -100.0),
        ("fluid", 8.0),
        ("grey matter", 38.0),
        ("deep grey matter", 36.0),
        ("white matter", 29.0),
        ("muscle", 52.0),
        ("organ", 70.0),
        ("blood", 120.0),
        ("marrow", 170.0),
        ("bone", 650.0),
    ),
    spread=12.0,
    texture=12.0,
    bias=0.0,
    resolution_mm=(1.0, 1.0, 1.5),
    noise=15.0,
)


def _contrast(
    *, fluid: float, cortex: float, deep: float, fat: float, bone: float
) -> tuple[tuple[str, float], ...]:
    """Means of a T1-weighted head with other ratios to white matter, which stays at 1."""
    own = {"fluid": fluid, "grey matter": cortex, "deep grey matter": deep, "fat": fat, "bone": bone}
    return tuple((tissue, own.get(tissue, mean)) for tissue, mean in _T1.means)


SCANNERS: Mapping[str, Scanner] = MappingProxyType(
    {
        scanner.name: scanner
        for scanner in (
            _T1,
            # An older scanner: flatter contrast, sagittal slices of 3 mm, a stronger field and more noise.
            replace(
                _T1,
                name="t1-old",
                means=tuple((t, 0.45 + 0.55 * m if "matter" in t else m) for t, m in _T1.means),
                bias=0.22,
                resolution_mm=(3.0, 1.5, 1.5),
                noise=0.06,
            ),
            _T2,
            replace(_T1, name="any-contrast", modality="MR", means=(), texture=0.05, bias=0.15, noise=0.03),
            # Three sites with T1-weighted scans: two alike, and one that is to be kept for tests.
            replace(
                _T1,
                name="site-a",
                means=_contrast(fluid=0.2, cortex=0.64, deep=0.76, fat=1.3, bone=0.12),
                bias=0.08,
                resolution_mm=(1.0, 1.0, 1.2),
                noise=0.03,
            ),
            replace(
                _T1,
                name="site-b",
                means=_contrast(fluid=0.28, cortex=0.7, deep=0.83, fat=1.1, bone=0.16),
                bias=0.16,
                resolution_mm=(1.5, 1.2, 1.2),
                noise=0.045,
            ),
            replace(
                _T1,
                name="site-c",
                means=_contrast(fluid=0.42, cortex=0.8, deep=0.88, fat=0.75, bone=0.3),
                bias=0.25,
                resolution_mm=(1.2, 1.2, 6.0),
                noise=0.08,
            ),
            _CT,
            replace(_CT, name="ct-low-dose", resolution_mm=(1.5, 1.5, 5.0), noise=60.0),
        )
    }
)


def find_scanner(name: str) -> Scanner:
    """A scanner by name.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in SCANNERS:
        raise ValueError(f"unknown scanner {name!r}; known: {', '.join(SCANNERS)}")
    return SCANNERS[name]
