"""What a notebook shows a volume by."""

import numpy as np
import pytest

from studykit.figures import viewer
from studykit.study import show_volume


def test_a_volume_is_drawn_with_its_layers(monkeypatch):
    drawn = []
    monkeypatch.setattr(viewer, "volume_picture", lambda *given: drawn.append(given))
    volume, labels = np.zeros((4, 4, 4)), np.ones((4, 4, 4), int)
    show_volume(volume, (1, 1, 1), "a head", labels=labels)
    ((_, _, title, layers, _),) = drawn
    assert title == "a head" and layers["labels"] is labels


def test_a_layer_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="masks"):
        show_volume(np.zeros((4, 4, 4)), (1, 1, 1), "a head", masks=1)
