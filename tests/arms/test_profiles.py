"""Profiles scale sizes: they are named, consistent with the models, and refuse what they do not know."""

from dataclasses import asdict

import pytest

from studykit.arms.profiles import PRETRAINING, PROFILES, check_profile, pretraining_profile
from studykit.claims.estimate import EVIDENCE_KINDS
from studykit.training.config import TrainingConfig


def test_every_profile_has_sizes_under_its_own_name():
    assert tuple(PRETRAINING) == PROFILES
    assert [pretraining_profile(name).name for name in PROFILES] == list(PROFILES)


@pytest.mark.parametrize("ask", [check_profile, pretraining_profile])
def test_an_unknown_profile_lists_the_known_ones(ask):
    with pytest.raises(ValueError, match=r"Unknown profile 'huge'\. Known: smoke, laptop, gpu, paper"):
        ask("huge")


@pytest.mark.parametrize("name", PROFILES)
def test_sizes_fit_each_other(name):
    sizes = pretraining_profile(name)
    assert sizes.crop_size % sizes.patch_size == 0
    assert sizes.grid == (sizes.crop_size // sizes.patch_size,) * 3
    assert sizes.embed_dim % 6 == 0 and sizes.embed_dim % sizes.num_heads == 0
    assert sizes.window_size * 2 == sizes.grid[0], "a window spans half of the token grid, as in the paper"
    assert sizes.evidence in EVIDENCE_KINDS
    assert list(sizes.learning_rates) == sorted(set(sizes.learning_rates)) and len(sizes.learning_rates) > 1
    assert sizes.eval_every <= sizes.tuning_steps <= sizes.steps
    names = TrainingConfig.__dataclass_fields__.keys() & asdict(sizes).keys()
    TrainingConfig(lr=sizes.learning_rates[0], **{field: getattr(sizes, field) for field in names})


def test_only_the_papers_own_sizes_are_paper_scale_and_only_smoke_has_too_few_repetitions():
    assert [name for name, sizes in PRETRAINING.items() if sizes.evidence == "paper-scale"] == ["paper"]
    assert [name for name, sizes in PRETRAINING.items() if sizes.repetitions < 5] == ["smoke"]
