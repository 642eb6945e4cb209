"""Where a detector points, by a detector that answers what it is told."""

import pytest
import torch

from studykit.studies.mim_masking.pointing import surest_places, touches


class Told:
    cell = (4, 4, 4)

    def __init__(self):
        self.asked = []
        self.weight = torch.ones((), requires_grad=True)

    def to(self, device):
        self.device = device
        return self

    def cell_map(self, x):
        self.asked.append(len(x))
        self.answered = torch.zeros(len(x), 4, 4, 4, device=x.device)
        self.answered[:, 0, 1, 3] = 1.0
        return self.answered * self.weight.to(x.device)


def test_the_surest_cell_in_millimetres_a_few_volumes_at_a_time():
    told = Told()
    places, side = surest_places(told, torch.zeros(10, 1, 16, 16, 16), 0.5)
    assert side == 2.0 and places.shape == (10, 3) and places[0].tolist() == [3.0, -1.0, -3.0]
    assert told.asked == [8, 2] and told.device == torch.device("cpu")


def test_network_and_volumes_go_to_where_networks_run(monkeypatch):
    told, meta = Told(), torch.device("meta")
    monkeypatch.setattr("studykit.studies.mim_masking.pointing.networks_device", lambda: meta)
    with pytest.raises(NotImplementedError, match="meta"):  # its numbers cannot come back
        surest_places(told, torch.zeros(1, 1, 16, 16, 16), 0.5)
    assert told.device == meta and told.answered.device == meta


def test_a_cell_touches_as_far_as_the_aneurysm_reaches_along_each_axis():
    cells, centres = [[0.0, 0.0, 0.0]] * 3, [[0.0, 2.9, 0.0], [0.0, 3.1, 0.0], [2.9, 2.9, 2.9]]
    assert touches(cells, 2.0, centres, [2.0] * 3).tolist() == [True, False, True]
