"""Profiles: how large a study is run. A profile scales sizes; it never changes what is compared.

``gpu`` is for calls of ten minutes on a node without network: sizes follow from operations, see
:mod:`studykit.bundle.card_plan`; bundled volumes have 1.5 mm or more, and a step is a graph, not compiled.
"""

from dataclasses import dataclass, replace

PROFILES = ("smoke", "laptop", "gpu", "paper")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Sizes of a masked pre-training study.

    Attributes:
        name: one of :data:`PROFILES`.
        spacing_mm: voxel size after resampling.
        crop_size: voxels an axis of a training crop.
        patch_size: voxels an axis of a patch.
        embed_dim, depth, num_heads: encoder of every arm.
        window_size: tokens an axis of an attention window.
        batch_size: crops an optimizer step.
        steps: optimizer steps of a run.
        warmup_steps: linear warm-up.
        eval_every: steps between two validations.
        checkpoint_every: steps between two checkpoints: what a kill can cost.
        snapshot_every: steps between two copies of the weights that are kept, to look at features later.
        crops_per_subject: fixed validation crops of each held-out subject.
        repetitions: seeds of each arm.
        learning_rates: what each arm is tuned over.
        tuning_steps: optimizer steps of a tuning run.
        tuning_extensions: how many further rates are tried while the best is the largest or the smallest.
        precision: ``fp32`` or ``bf16``.
        compile: whether training goes through ``torch.compile``.
        evidence: kind of evidence that an effect measured at this profile is.
    """

    name: str
    spacing_mm: float
    crop_size: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    window_size: int
    batch_size: int
    steps: int
    warmup_steps: int
    eval_every: int
    checkpoint_every: int
    snapshot_every: int
    crops_per_subject: int
    repetitions: int
    learning_rates: tuple[float, ...]
    tuning_steps: int
    tuning_extensions: int = 2
    precision: str = "fp32"
    compile: bool = False
    evidence: str = "reduced-scale"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Patches an axis of a crop."""
        return (self.crop_size // self.patch_size,) * 3


PRETRAINING = {
    "smoke": Profile(
        name="smoke", spacing_mm=4.0, crop_size=32, patch_size=4, embed_dim=48, depth=2, num_heads=2,
        window_size=4, batch_size=4, steps=12, warmup_steps=2, eval_every=3, checkpoint_every=6,
        snapshot_every=6, crops_per_subject=2, repetitions=2, learning_rates=(1e-3, 3e-3), tuning_steps=4,
        tuning_extensions=0,
    ),
    "laptop": Profile(
        name="laptop", spacing_mm=2.0, crop_size=24, patch_size=4, embed_dim=96, depth=4, num_heads=4,
        window_size=3, batch_size=8, steps=1200, warmup_steps=60, eval_every=30, checkpoint_every=120,
        snapshot_every=240, crops_per_subject=16, repetitions=5,
        learning_rates=(5e-4, 1.5e-3, 4.5e-3, 1.35e-2),
        tuning_steps=1200,
    ),
    "gpu": Profile(
        name="gpu", spacing_mm=1.5, crop_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=6,
        window_size=4, batch_size=32, steps=2000, warmup_steps=100, eval_every=40, checkpoint_every=500,
        snapshot_every=400, crops_per_subject=8, repetitions=5, learning_rates=(5e-4, 1.5e-3, 4.5e-3),
        tuning_steps=500, precision="bf16",
    ),
    "paper": Profile(
        name="paper", spacing_mm=0.2, crop_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12,
        window_size=7, batch_size=200, steps=198_000, warmup_steps=6_000, eval_every=300,
        checkpoint_every=300, snapshot_every=39_600, crops_per_subject=8, repetitions=5,
        learning_rates=(7.5e-5, 1.5e-4, 3e-4), tuning_steps=13_200, precision="bf16", compile=True,
        evidence="paper-scale",
    ),
}  # fmt: skip

WHOLE_HEADS = {
    "laptop": replace(
        PRETRAINING["laptop"], spacing_mm=6.0, crop_size=32, patch_size=8, window_size=2, steps=1600,
        warmup_steps=80, eval_every=40, checkpoint_every=200, snapshot_every=400, crops_per_subject=8,
        learning_rates=(1.5e-3, 4.5e-3, 1.35e-2), tuning_steps=1600,
    ),
    "gpu": replace(
        PRETRAINING["gpu"], spacing_mm=3.0, steps=3200, warmup_steps=160, eval_every=80,
        checkpoint_every=1600, snapshot_every=1600, tuning_steps=800, repetitions=10,
    ),
}  # fmt: skip
"""Sizes at which a crop is a whole head: what is where in it can be learnt, and hidden patches are painted
better than their surroundings tell. ``smoke`` shows parts of heads, and ``paper`` the paper's own crops."""

MANY_ARMS = {
    "smoke": replace(
        PRETRAINING["smoke"], crop_size=16, embed_dim=96, num_heads=4, window_size=2, batch_size=2, steps=8,
        eval_every=2, checkpoint_every=4, snapshot_every=2, learning_rates=(1.5e-3, 4.5e-3),
    ),
    "laptop": replace(
        PRETRAINING["laptop"], depth=2, steps=600, warmup_steps=30, eval_every=20, checkpoint_every=200,
        snapshot_every=150, learning_rates=(1.5e-3, 4.5e-3, 1.35e-2), tuning_steps=600,
    ),
    "gpu": replace(
        PRETRAINING["gpu"], depth=4, steps=1800, warmup_steps=90, eval_every=60, checkpoint_every=900,
        snapshot_every=450, learning_rates=(1.5e-3, 4.5e-3), tuning_steps=600,
    ),
    "paper": PRETRAINING["paper"],
}  # fmt: skip
"""Sizes of the studies that compare so many arms that each has to be smaller."""

MANY_ON_WHOLE_HEADS = {
    "laptop": replace(
        MANY_ARMS["laptop"], spacing_mm=6.0, steps=1200, warmup_steps=60, eval_every=30, snapshot_every=300,
        tuning_steps=1200,
    ),
    "gpu": replace(MANY_ARMS["gpu"], spacing_mm=3.0),
}  # fmt: skip
"""Many arms on most of a head: on smaller crops networks painted worse than their surroundings tell."""


@dataclass(frozen=True, kw_only=True)
class TransferProfile(Profile):
    """Sizes of a study that trains with labels, after pre-training or without.

    ``patch_size`` is the side of a mask's blocks in pre-training; ``embed_dim``, ``depth`` and ``num_heads``
    are those of a transformer's first stage.

    Attributes:
        train, val, test: subjects.
        pretraining_steps: optimizer steps of a pre-training; ``steps`` are those with labels.
        label_fractions: shares of the training subjects whose labels are used, growing.
    """

    train: int
    val: int
    test: int
    pretraining_steps: int
    label_fractions: tuple[float, ...]

    @property
    def subjects(self) -> int:
        """Subjects of the three parts together."""
        return self.train + self.val + self.test

    @property
    def view_size(self) -> int:
        """Voxels an axis of a view: two thirds of a crop, in whole patches, two at least."""
        return self.patch_size * max(-(-2 * self.grid[0] // 3), 2)


SEGMENTATION = {
    "smoke": TransferProfile(
        name="smoke", spacing_mm=6.0, crop_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=1,
        window_size=2, batch_size=2, steps=4, warmup_steps=1, eval_every=2, checkpoint_every=2,
        snapshot_every=4, crops_per_subject=2, repetitions=2, learning_rates=(1e-3, 3e-3), tuning_steps=2,
        tuning_extensions=0, train=4, val=2, test=2, pretraining_steps=4, label_fractions=(0.25, 1.0),
    ),
    "laptop": TransferProfile(
        name="laptop", spacing_mm=3.0, crop_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2,
        window_size=4, batch_size=4, steps=400, warmup_steps=40, eval_every=25, checkpoint_every=200,
        snapshot_every=600, crops_per_subject=4, repetitions=5, learning_rates=(1e-3, 3e-3), tuning_steps=600,
        tuning_extensions=2, train=40, val=4, test=16, pretraining_steps=600,
        label_fractions=(0.05, 0.1, 0.2, 0.4, 1.0), evidence="mechanism",
    ),
    "gpu": TransferProfile(
        name="gpu", spacing_mm=1.5, crop_size=64, patch_size=16, embed_dim=96, depth=2, num_heads=3,
        window_size=4, batch_size=8, steps=840, warmup_steps=84, eval_every=168, checkpoint_every=840,
        snapshot_every=1000, crops_per_subject=4, repetitions=5, learning_rates=(3e-4, 1e-3),
        tuning_steps=400, tuning_extensions=1, train=120, val=8, test=16, pretraining_steps=1000,
        label_fractions=(0.05, 0.1, 0.2, 0.4, 1.0), precision="bf16", evidence="mechanism",
    ),
}  # fmt: skip
SEGMENTATION["paper"] = replace(
    SEGMENTATION["gpu"], name="paper", spacing_mm=1.0, crop_size=128, patch_size=32, batch_size=2,
    steps=250_000, warmup_steps=2_500, eval_every=2_500, checkpoint_every=1_000, snapshot_every=250_000,
    tuning_steps=25_000, train=160, val=16, test=64, pretraining_steps=250_000, repetitions=5, compile=True,
)  # fmt: skip
"""None of the papers states its sizes: ``paper`` takes nnFormer's own (crops of 128³, 1000 × 250 steps)."""

DETECTION = {
    "smoke": replace(
        SEGMENTATION["smoke"], spacing_mm=2.25, crop_size=32, patch_size=8, crops_per_subject=1, train=8,
        val=4, test=4, label_fractions=(1.0,),
    ),
    "laptop": replace(
        SEGMENTATION["laptop"], spacing_mm=2.25, batch_size=4, steps=1600, tuning_steps=1600, train=80,
        val=40, test=160, label_fractions=(1.0,),
    ),
    "gpu": replace(
        SEGMENTATION["gpu"], spacing_mm=0.75, crop_size=96, steps=1200, train=160, val=60, test=240,
        label_fractions=(1.0,),
    ),
}  # fmt: skip
DETECTION["paper"] = replace(
    DETECTION["gpu"], name="paper", spacing_mm=0.5, crop_size=144, steps=4000, warmup_steps=200,
    eval_every=200, checkpoint_every=400, snapshot_every=4000, tuning_steps=4000, train=400, val=100,
    test=400, pretraining_steps=8000, compile=True,
)  # fmt: skip
"""Crops are whole fields of view."""

SPINES = {
    "smoke": replace(
        SEGMENTATION["smoke"], num_heads=3, steps=2, learning_rates=(1e-3,), tuning_steps=1,
        label_fractions=(1.0,),
    ),
    "laptop": replace(
        SEGMENTATION["laptop"], spacing_mm=4.0, crop_size=24, batch_size=2, embed_dim=12, num_heads=3,
        steps=900, warmup_steps=60, eval_every=75, checkpoint_every=150, snapshot_every=900, tuning_steps=450,
        tuning_extensions=1, label_fractions=(1.0,),
    ),
    "gpu": replace(
        SEGMENTATION["gpu"], embed_dim=36, window_size=7, batch_size=4, steps=900, warmup_steps=90,
        tuning_steps=450, snapshot_every=900, label_fractions=(1.0,),
    ),
    "paper": replace(SEGMENTATION["paper"], crop_size=96, embed_dim=48, window_size=7, label_fractions=(1.,)),
}  # fmt: skip
"""A field of view is 96 mm wide. ``embed_dim`` and ``num_heads`` are those of SwinUNETR's first stage,
``depth`` the blocks of each of its stages."""

TRAITS = {
    "smoke": replace(
        SEGMENTATION["smoke"], spacing_mm=7.5, patch_size=4, embed_dim=24, depth=2, num_heads=2,
        batch_size=4, steps=2, eval_every=2, learning_rates=(1e-3,), tuning_steps=1, train=8, val=4, test=8,
        label_fractions=(0.5, 1.0),
    ),
    "laptop": replace(
        SEGMENTATION["laptop"], spacing_mm=3.0, crop_size=40, patch_size=8, embed_dim=72, depth=4,
        num_heads=4, window_size=3, batch_size=16, steps=200, warmup_steps=20, eval_every=100,
        checkpoint_every=200, snapshot_every=250, crops_per_subject=1, learning_rates=(5e-4, 1.5e-3),
        tuning_steps=200, tuning_extensions=0, train=960, val=120, test=400, pretraining_steps=250,
        label_fractions=(1 / 240, 1 / 48, 0.2, 1.0),
    ),
    "gpu": replace(
        SEGMENTATION["gpu"], spacing_mm=2.5, crop_size=48, patch_size=8, embed_dim=384, depth=6,
        num_heads=6, window_size=3, batch_size=32, steps=450, warmup_steps=45, eval_every=150,
        checkpoint_every=450, snapshot_every=900, learning_rates=(1e-4, 3e-4), tuning_steps=225,
        train=960, val=120, test=400, pretraining_steps=900, label_fractions=(1 / 240, 1 / 48, 0.2, 1.0),
    ),
}  # fmt: skip
TRAITS["paper"] = replace(
    TRAITS["gpu"], name="paper", spacing_mm=1.0, crop_size=120, patch_size=8, embed_dim=768, depth=12,
    num_heads=12, batch_size=8, steps=10_000, warmup_steps=500, eval_every=500, checkpoint_every=200,
    snapshot_every=100_000, tuning_steps=2_000, train=240, val=80, test=480, pretraining_steps=100_000,
    label_fractions=(1 / 60, 1 / 12, 0.2, 1.0), compile=True,
)  # fmt: skip
"""Crops are the middle of a head. The paper gives no sizes but an effective batch of 8. Outlines are drawn
for fewer people than are told apart: the first two shares of labels are theirs."""

TRANSFER = {"segmentation": SEGMENTATION, "detection": DETECTION, "traits": TRAITS, "spines": SPINES}


def check_profile(name: str) -> None:
    """Refuse a name that is no profile.

    Raises:
        ValueError: unknown profile; the message lists the known ones.
    """
    if name not in PROFILES:
        raise ValueError(f"Unknown profile {name!r}. Known: {', '.join(PROFILES)}.")


def pretraining_profile(name: str, *, many_arms: bool = False, whole_heads: bool = False) -> Profile:
    """Sizes of a masked pre-training study at profile ``name``; of both, :data:`MANY_ON_WHOLE_HEADS`.

    Raises:
        ValueError: unknown profile; the message lists the known ones.
    """
    check_profile(name)
    wide = MANY_ON_WHOLE_HEADS if many_arms else WHOLE_HEADS
    if whole_heads and name in wide:
        return wide[name]
    return (MANY_ARMS if many_arms else PRETRAINING)[name]


def transfer_profile(name: str, task: str) -> TransferProfile:
    """Sizes of a study with labels at profile ``name``, by its ``task`` or another key of :data:`TRANSFER`.

    Raises:
        ValueError: unknown profile; the message lists the known ones.
    """
    check_profile(name)
    return TRANSFER[task][name]
