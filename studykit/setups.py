"""What studies differ in before an arm is named: volumes, who is held out, how many arms there will be."""

from dataclasses import dataclass

from studykit.data.sources import DEFAULT_SOURCE


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The ground that a study's arms share.

    Attributes:
        source: volumes it is judged on.
        intensity: see :class:`studykit.data.volumes.VolumeSettings`.
        constant_background: see :class:`studykit.experiment.DataRecipe`.
        hold_out: subjects of ``source`` that no arm trains on, as something is measured on them at the end.
        many_arms: whether it takes the smaller sizes, so that all its arms fit a profile's time.
    """

    source: str = DEFAULT_SOURCE
    intensity: str = "auto"
    constant_background: bool = False
    hold_out: tuple[str, ...] = ()
    many_arms: bool = False


_SETUPS = {
    # The two heads with label maps, on which the segmentation probe is trained and tested.
    "bertswin-ablations": Setup(hold_out=("Pitt_50038", "Colin27"), many_arms=True),
    # PhysLoss needs Hounsfield units.
    "mvc-components": Setup(source="sample-head-cts", intensity="hu", many_arms=True),
    # Outside the field of view of a cone-beam CT all is constant; here outside the head.
    "gradient-conductor": Setup(constant_background=True, many_arms=True),
}


def setup_of(study: str) -> Setup:
    """The set-up of a study, by default whole sample heads at the pre-training sizes."""
    return _SETUPS.get(study, Setup())
