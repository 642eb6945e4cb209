"""Parameters by part and by reading add up, and scores over seeds by hand."""

import pandas as pd
import pytest

from studykit.claims.stats import mean_interval
from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.studies.waveformer_efficiency.parameters import (
    over_seeds,
    parameters_by_part,
    parameters_by_reading,
)


@pytest.fixture(scope="module")
def network():
    sizes = {"img_size": 32, "widths": [8, 8, 16, 16], "depth": 1, "head_dim": 8}
    return build_model("waveformer", in_channels=4, num_classes=4, **sizes)


def test_parts_make_the_whole(network):
    parts = parameters_by_part(network)
    assert sum(parts.values()) == count_parameters(network) and parts["head"] == count_parameters(
        network.head
    )


def test_readings_differ_by_the_refinement_and_by_a_class(network):
    readings = parameters_by_reading(network)
    released, plain, *fewer = readings.values()
    assert released == count_parameters(network) > plain
    assert [released - fewer[0], plain - fewer[1]] == [network.head.in_channels + 1] * 2


def test_subjects_count_alike_however_many_structures_they_have():
    rows = [(0, "ann", 0.2), (0, "ann", 0.4), (0, "bob", 0.9), (1, "ann", 0.5), (1, "bob", 0.7)]
    scores = pd.DataFrame(rows, columns=["seed", "subject", "dice"])
    found, expected = over_seeds(scores, "dice"), mean_interval([0.6, 0.6])
    assert found.value == pytest.approx(expected.value) and found.n == expected.n == 2
