"""What studies differ in before an arm is named: volumes, who is held out, how many arms there will be."""

from dataclasses import dataclass, replace

from studykit.arms.profiles import Profile, TransferProfile, pretraining_profile, transfer_profile
from studykit.data.sources import DEFAULT_SOURCE


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The ground that a study's arms share.

    Attributes:
        source: volumes it is judged on; ``{n}`` stands for the number of the profile's subjects, ``{test}``
            for that of its test subjects.
        intensity: see :class:`studykit.data.volumes.volumes.VolumeSettings`.
        constant_background: see :class:`studykit.tasks.reconstruction.Recipe`.
        hold_out: subjects of ``source`` that no arm trains on, as something is measured on them at the end.
        many_arms: whether it takes the smaller sizes, or with labels no more than three seeds, so that all
            its arms fit a profile's time.
        whole_heads: whether its crops are whole heads, where the profile has sizes for them.
        labels: task of the arms that train with labels, empty for none.
        sizes: of :data:`studykit.arms.profiles.TRANSFER`, if others than those of its ``labels``.
        tests: name and source of further volumes that arms are tested on.
        first_seed: of the repetitions; another one after pilots, or a first look, have used those before.
    """

    source: str = DEFAULT_SOURCE
    intensity: str = "auto"
    constant_background: bool = False
    hold_out: tuple[str, ...] = ()
    many_arms: bool = False
    whole_heads: bool = False
    labels: str = ""
    sizes: str = ""
    tests: tuple[tuple[str, str], ...] = ()
    first_seed: int = 0

    def source_at(self, profile: Profile) -> str:
        """The volumes at a profile."""
        return _counted(self.source, profile)

    def seeds(self, count: int) -> tuple[int, ...]:
        """The seeds of the first repetitions.

        >>> Setup(first_seed=100).seeds(3)
        (100, 101, 102)
        """
        return tuple(range(self.first_seed, self.first_seed + count))

    def tests_at(self, profile: Profile) -> dict[str, str]:
        """Further test volumes at a profile, by name."""
        return {name: _counted(source, profile) for name, source in self.tests}


def _counted(source: str, profile: Profile) -> str:
    if not isinstance(profile, TransferProfile):
        return source
    return source.format(n=profile.subjects, test=profile.test)


_SETUPS = {
    # A first look, at crops of 48 mm, had the seeds before.
    "bertswin-convergence": Setup(whole_heads=True, first_seed=100),
    # The two heads with label maps, on which the segmentation probe is trained and tested.
    "bertswin-ablations": Setup(hold_out=("Pitt_50038", "Colin27"), many_arms=True),
    # PhysLoss needs Hounsfield units. A first look, at crops of 48 mm, had the seeds before.
    "mvc-components": Setup(
        source="sample-head-cts", intensity="hu", many_arms=True, whole_heads=True, first_seed=100
    ),
    # Outside the field of view of a cone-beam CT all is constant; here outside the head.
    "gradient-conductor": Setup(constant_background=True, many_arms=True),
    # Reconstruction is scored inside the head, so its outside has to be known by its value.
    "nnformer-data-efficiency": Setup(
        source="cohort:heads/t1:{n}",
        constant_background=True,
        many_arms=True,
        labels="segmentation",
        tests=(("another scanner", "cohort:heads/t2-thick:{n}"), ("real heads", "real-heads")),
    ),
    "waveformer-efficiency": Setup(source="cohort:heads/t1:{n}", labels="segmentation"),
    "spark-sparsity": Setup(
        source="cohort:heads/t1:{n}", labels="segmentation", tests=(("real heads", "real-heads"),)
    ),
    # Trained on CT; the same people in the manner of MR, and two real CTs.
    "spine-ablation": Setup(
        source="cohort:spines/ct:{n}",
        labels="segmentation",
        sizes="spines",
        first_seed=100,
        tests=(
            ("T1-weighted", "cohort:spines/t1:{n}"),
            ("T2-weighted, thick slices", "cohort:spines/t2-thick:{n}"),
            ("real CTs", "real-spines"),
        ),
    ),
    "mim-masking": Setup(source="angio:mra:{n}", labels="detection"),
    # Two scanners to learn from; a third, and anatomies that nothing descends from, to test on alone.
    "volta-transfer": Setup(
        source="cohort:people/site-a+site-b:{n}",
        constant_background=True,
        labels="traits",
        first_seed=200,  # pilots had the others
        tests=(
            ("scanner never seen", "cohort:people/site-c:{n}"),
            ("anatomies never seen", "cohort:people-unseen/site-a+site-b:{test}"),
            ("real heads", "real-heads:people"),
        ),
    ),
}


def setup_of(study: str) -> Setup:
    """The set-up of a study, by default whole sample heads at the pre-training sizes."""
    return _SETUPS.get(study, Setup())


def profile_of(setup: Setup, name: str) -> Profile:
    """Sizes of a study at profile ``name``.

    Raises:
        ValueError: unknown profile; the message lists the known ones.
    """
    if setup.labels:
        sizes = transfer_profile(name, setup.sizes or setup.labels)
        return replace(sizes, repetitions=min(sizes.repetitions, 3)) if setup.many_arms else sizes
    return pretraining_profile(name, many_arms=setup.many_arms, whole_heads=setup.whole_heads)
