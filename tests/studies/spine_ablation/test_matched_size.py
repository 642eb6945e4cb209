"""The plain network that is as large as an arm is counted again from its options."""

import pytest

from studykit.metrics.compute import count_flops, count_parameters
from studykit.models import build_model
from studykit.studies.spine_ablation.matched_size import Matched, matched_swin_unetr

ARM = {
    "img_size": 16, "num_classes": 3, "feature_size": 6, "depths": (1, 1), "num_heads": (1, 2),
    "window_size": 3, "fusion": "selective", "attention": "conditioned",
}  # fmt: skip


def cost(options):
    model = build_model("swin-unetr", **options)
    return count_parameters(model), count_flops(model, (1, 1, 16, 16, 16)).total


@pytest.mark.parametrize("at_least", [True, False])
def test_its_options_give_what_it_says(at_least):
    found = matched_swin_unetr(ARM, at_least)
    assert isinstance(found, Matched) and not {"fusion", "attention"} & set(found.options)
    parameters, flops = cost(found.options)
    assert (parameters, flops) == (found.parameters, found.flops)
    arm = cost(ARM)
    assert (found.parameter_ratio, found.flop_ratio) == (parameters / arm[0], flops / arm[1])
    if at_least:
        assert parameters >= arm[0] and flops >= arm[1]
    assert max(found.parameter_ratio, found.flop_ratio) < 1.35


def test_no_wider_or_deeper_one_tried_is_nearer():
    found = matched_swin_unetr(ARM)
    worst = max(found.parameter_ratio, found.flop_ratio)
    arm, plain = cost(ARM), {k: v for k, v in ARM.items() if k not in ("fusion", "attention")}
    for width in (6, 7, 8):
        for depths in ((1, 1), (2, 1), (1, 2), (3, 3)):
            parameters, flops = cost({**plain, "feature_size": width, "depths": depths})
            if parameters >= arm[0] and flops >= arm[1]:
                assert max(parameters / arm[0], flops / arm[1]) >= worst


def test_widths_go_in_steps_that_the_heads_divide():
    found = matched_swin_unetr({**ARM, "num_heads": (3, 3)}, at_least=False)
    assert found.options["feature_size"] % 3 == 0


def test_an_arm_too_large_to_match_is_named():
    with pytest.raises(ValueError, match="No plain SwinUNETR up to 2 times as wide"):
        matched_swin_unetr({**ARM, "kernels": (3, 11, 15), "fusion_channels": 64})
