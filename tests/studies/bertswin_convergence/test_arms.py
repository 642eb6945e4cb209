"""The rows that describe the two arms."""

from tiny_study import two_arms

from studykit.metrics.compute import count_parameters
from studykit.studies.bertswin_convergence.arms import described


def test_a_row_says_what_the_arm_is_made_of(tiny):
    study = tiny()
    mae, bertswin = (described(study, arm) for arm in two_arms(study))
    assert mae["arm"] == "MAE-ViT" and mae["patch grid"] == "4×4×4"
    assert mae["visible"] == 16, "a quarter of 64 patches"
    assert mae["parameters"] == f"{count_parameters(study.untrained('MAE-ViT')):,}"
    assert mae["GFLOP forward"] == f"{study.flops('MAE-ViT').total / 1e9:.3f}" != bertswin["GFLOP forward"]
    assert float(mae["GFLOP training"]) > 2 * float(mae["GFLOP forward"])
