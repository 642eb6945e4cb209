"""Single structures of a cohort of spines, where they are known and where not."""

import numpy as np
import pandas as pd
import pytest

from studykit.data.labelled import open_labelled
from studykit.studies.spine_ablation.structure_scores import (
    single_structures,
    small_structures,
    structure_measure,
    whole_structures,
)

SOURCE, SPACING = "cohort:spines/ct:2", 4.0


def test_nobody_knows_the_structures_of_other_volumes():
    assert single_structures("folder:/somewhere", 3.0) == {} == single_structures("real-spines", 3.0)


@pytest.mark.network
def test_the_truth_itself_scores_full_and_its_pieces_are_its_vertebrae():
    volumes = open_labelled(SOURCE, SPACING).prepared.volumes
    truths = single_structures(SOURCE, SPACING)
    assert set(truths) == {volume.subject for volume in volumes}
    measure = structure_measure(truths)
    for volume in volumes:
        rows = pd.DataFrame(measure(volume, np.asarray(volume.labels).T))
        vertebrae = ~rows["class"].isin(["sacrum", "spinal cord"])
        assert vertebrae.sum() >= 2 and rows["dice"].min() > 0.9, "neighbours never join"
        assert (rows["dice"] == 1).mean() > 0.7
        assert np.all(rows["ml"] >= 1)
    table = whole_structures(volumes, truths)
    assert (table["pieces counted"] == table["vertebrae in view"]).all()
    assert table["whole vertebrae"].str.contains("L4|T7").all()


def test_the_smallest_third_is_of_each_subject():
    rows = pd.DataFrame(
        {
            "subject": ["ann"] * 6 + ["bob"],
            "class": ["a", "b", "c", "d", "e", "spinal cord", "a"],
            "dice": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9],
            "ml": [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 7.0],
        }
    )
    found = small_structures(rows).set_index("subject")
    assert found.loc["ann"].to_dict() == pytest.approx(
        {"smallest third": 0.55, "smallest": 0.6, "spinal cord": 0.6}
    )
    assert found.loc["bob", "smallest third"] == found.loc["bob", "smallest"] == 0.9
    assert np.isnan(found.loc["bob", "spinal cord"])
