"""What studies differ in: only those that say so leave the common ground."""

import pytest

from studykit.arms.profiles import (
    MANY_ARMS,
    MANY_ON_WHOLE_HEADS,
    PRETRAINING,
    PROFILES,
    TRANSFER,
    WHOLE_HEADS,
    pretraining_profile,
    transfer_profile,
)
from studykit.arms.setups import Setup, profile_of, setup_of
from studykit.data.sources import check_source_name
from studykit.data.splits import split_subjects
from studykit.runs.store import derive_seed
from studykit.study import open_study, studies

MANY = ("bertswin-ablations", "mvc-components", "gradient-conductor")
LABELLED = (
    "nnformer-data-efficiency",
    "waveformer-efficiency",
    "spark-sparsity",
    "mim-masking",
    "volta-transfer",
    "spine-ablation",
)


def test_a_study_without_a_setup_of_its_own_has_the_common_one():
    assert setup_of("effective-rank") == setup_of("no-such-study") == Setup()


def test_every_setup_is_of_a_known_study_and_source():
    own = {name for name in studies() if setup_of(name) != Setup()}
    assert own == {*MANY, *LABELLED, "bertswin-convergence"}
    for name in own:
        setup = setup_of(name)
        for profile in PROFILES:
            sizes = profile_of(setup, profile)
            for source in (setup.source_at(sizes), *setup.tests_at(sizes).values()):
                check_source_name(source)


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_studies_have_as_many_subjects_as_their_profile(name):
    setup = setup_of(name)
    for profile in PROFILES:
        sizes = profile_of(setup, profile)
        assert setup.labels in TRANSFER and setup.source_at(sizes).endswith(f":{sizes.subjects}")


@pytest.mark.parametrize("task", TRANSFER)
@pytest.mark.parametrize("name", PROFILES)
def test_sizes_of_labelled_studies_fit_each_other(name, task):
    sizes = transfer_profile(name, task)
    assert sizes is TRANSFER[task][name] and sizes.name == name
    assert sizes.crop_size % sizes.patch_size == 0 and sizes.warmup_steps < sizes.steps
    fractions = sizes.label_fractions
    assert list(fractions) == sorted(set(fractions)) and fractions[-1] == 1
    assert round(fractions[0] * sizes.train) >= 1, "the smallest share is at least one subject"


@pytest.mark.parametrize("name", MANY)
def test_studies_of_many_arms_take_the_smaller_sizes(results, name):
    wide = MANY_ON_WHOLE_HEADS if setup_of(name).whole_heads else {}
    for profile in ("smoke", "laptop", "gpu"):
        expected = wide.get(profile, MANY_ARMS[profile])
        assert open_study(name, profile).profile == expected != PRETRAINING[profile]
    assert open_study("bertswin-convergence").profile == PRETRAINING["smoke"]


def test_only_those_that_know_what_is_outside_have_a_constant_background(results):
    known = [name for name in studies() if setup_of(name).constant_background]
    assert known == ["gradient-conductor", "nnformer-data-efficiency", "volta-transfer"]


@pytest.mark.parametrize("name", PROFILES)
def test_sizes_of_many_arms_fit_each_other(name):
    sizes, whole = (pretraining_profile(name, many_arms=many) for many in (True, False))
    assert sizes.name == name and sizes.crop_size % sizes.patch_size == 0
    assert (
        sizes.window_size * 2 == sizes.grid[0]
        and sizes.embed_dim % 6 == sizes.embed_dim % sizes.num_heads == 0
    )
    assert sizes.eval_every <= sizes.tuning_steps <= sizes.steps and sizes.warmup_steps < sizes.steps
    assert len(sizes.learning_rates) > 1 and sizes.repetitions == whole.repetitions
    assert sizes.evidence == whole.evidence and sizes.steps <= whole.steps


def test_who_is_held_out_by_name_is_tested_on_and_nobody_else_need_be():
    ids = [*(f"head{i}" for i in range(8)), *setup_of("bertswin-ablations").hold_out]
    split = split_subjects(
        ids, seed=derive_seed("bertswin-ablations", "split"), val=1, test=0.3,
        hold_out=setup_of("bertswin-ablations").hold_out,
    )  # fmt: skip
    assert {"Pitt_50038", "Colin27"} <= set(split.test) and len(split.test) == 3


@pytest.mark.parametrize("name", ["laptop", "gpu"])
def test_the_convergence_study_looks_at_whole_heads_above_smoke(name):
    """All but ``paper``, whose crops are the paper's own."""
    sizes = profile_of(setup_of("bertswin-convergence"), name)
    assert sizes == WHOLE_HEADS[name] and sizes.name == name
    assert sizes.crop_size * sizes.spacing_mm > 180, "no head is wider"
    assert 2 * sizes.window_size == sizes.grid[0], "as in the paper"
    assert sizes.eval_every <= sizes.tuning_steps <= sizes.steps
    assert set(PROFILES) - set(WHOLE_HEADS) == {"smoke", "paper"}


@pytest.mark.parametrize("name", ["laptop", "gpu"])
def test_the_losses_are_told_apart_on_most_of_a_head(name):
    """As small as where there are many arms, and three quarters of a head wide or more."""
    sizes, small = profile_of(setup_of("mvc-components"), name), MANY_ARMS[name]
    assert sizes == MANY_ON_WHOLE_HEADS[name] and sizes.name == name
    assert sizes.crop_size * sizes.spacing_mm >= 144
    assert (sizes.grid, sizes.embed_dim, sizes.depth) == (small.grid, small.embed_dim, small.depth)
    assert sizes.steps >= small.steps and sizes.eval_every * 40 >= sizes.steps


def test_a_card_sees_more_of_whole_heads_than_a_laptop():
    laptop, gpu = (WHOLE_HEADS[name] for name in ("laptop", "gpu"))
    assert gpu.steps >= 2 * laptop.steps and gpu.batch_size >= 4 * laptop.batch_size
    assert gpu.embed_dim > laptop.embed_dim and gpu.depth > laptop.depth and gpu.repetitions == 10


def test_a_card_has_larger_sizes_than_a_laptop():
    """Steps and people of each; three times as many where ten minutes leave room."""
    many = [MANY_ARMS[name] for name in ("laptop", "gpu")]
    assert many[1].steps >= 3 * many[0].steps and many[1].embed_dim > many[0].embed_dim
    for task, sizes in TRANSFER.items():
        laptop, gpu = sizes["laptop"], sizes["gpu"]
        times = 1.5 if task in ("detection", "spines") else 3
        assert gpu.steps * gpu.batch_size >= times * laptop.steps * laptop.batch_size
        assert gpu.train >= laptop.train and gpu.embed_dim > laptop.embed_dim
        assert gpu.crop_size**3 > laptop.crop_size**3 and gpu.repetitions >= laptop.repetitions
        if task in ("segmentation", "spines"):
            assert gpu.train >= 3 * laptop.train
