"""The detector on a stub network: what its loss asks for, its scores, what transfers, and that it learns."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from studykit.data.angiography.sites import LABELS, site_number
from studykit.methods import METHODS, build_method
from studykit.methods.detection import Detector
from studykit.models import MODELS
from studykit.models.encoder_decoder import EncoderDecoder

SIZE, SITE = 16, site_number("Basilar Tip")


class Stub(EncoderDecoder):
    version = 1
    channels, strides = (4, 8, 8), ((2, 2, 2), (4, 4, 4), (8, 8, 8))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (1, *Stub.channels)
            self.stages = nn.ModuleList(nn.Conv3d(i, o, 3, stride=2, padding=1) for i, o in pairwise(widths))

        def forward(self, x):
            maps = []
            for stage in self.stages:
                x = torch.relu(stage(x))
                maps.append(x)
            return maps

    def __init__(self, img_size):
        super().__init__()
        self.encoder, self.decoder, self.head = self.Encoder(), nn.Conv3d(4, 4, 1), nn.Conv3d(4, 1, 1)


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setitem(MODELS, "stub", Stub)
    torch.manual_seed(0)
    return build_method("detection", model="stub", img_size=SIZE)


def batch(positive, seed=0, site=SITE):
    """Noise; a bright blob where there is an aneurysm."""
    generator = torch.Generator().manual_seed(seed)
    volumes = torch.zeros(len(positive), 2, SIZE, SIZE, SIZE)
    volumes[:, 0] = 0.3 * torch.randn(len(positive), SIZE, SIZE, SIZE, generator=generator)
    for row, there in enumerate(positive):
        if there:
            corner = torch.randint(0, SIZE - 3, (3,), generator=generator).tolist()
            box = tuple(slice(start, start + 3) for start in corner)
            volumes[row, 0][box] += 2.0
            volumes[row, 1][box] = site
    return volumes


def test_it_is_registered_with_its_task():
    assert METHODS["detection"] is Detector
    assert (Detector.task, Detector.batch_channels) == ("detection", 2)


def test_scores_are_fourteen_probabilities_of_images(detector):
    volumes = batch([True, False, True])
    scores = detector.score(volumes[:, :1])
    assert scores.shape == (3, len(LABELS)) and ((scores >= 0) & (scores <= 1)).all()
    assert not scores.requires_grad
    assert torch.allclose(scores[1:2], detector.score(volumes[1:2, :1]), atol=1e-6)
    assert (scores[:, :13] <= scores[:, 13:] + 1e-6).all(), "a place is no likelier than any place"
    assert detector.cell_map(volumes[:, :1]).shape == (3, 4, 4, 4)


def test_loss_is_least_for_the_truth(detector, monkeypatch):
    volumes = batch([True, False])
    cells = detector._cell_sites(volumes[:, 1:])
    assert cells.shape == (2, 4, 4, 4) and set(cells.unique().tolist()) == {0, SITE}
    there = (cells > 0).float()
    sites = nn.functional.one_hot((cells - 1).clamp_min(0), 13).movedim(-1, 1).float()

    def total(here, places):
        monkeypatch.setattr(detector, "_cells", lambda image: (here, places))
        return {name: float(term.detach()) for name, term in detector(volumes, torch.empty(2, 0)).items()}

    right = total(20 * there - 10, 20 * sites)
    assert right["cells"] < 1e-3 and right["sites"] < 1e-3 and right["present"] < 0.1
    for wrong in (total(10 - 20 * there, 20 * sites), total(20 * there - 10, -20 * sites)):
        assert sum(wrong.values()) > sum(right.values()) + 5


def test_a_batch_without_aneurysms_has_finite_loss_and_gradients(detector):
    terms = detector.loss_terms(batch([False, False]), torch.Generator())
    assert set(terms) == {"cells", "present", "sites"} and terms["sites"] == 0
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters())


def test_every_parameter_gets_a_gradient_and_the_decoder_is_gone(detector):
    sum(detector.loss_terms(batch([True, False]), torch.Generator()).values()).backward()
    names = [name for name, p in detector.named_parameters() if p.grad is None]
    assert names == []
    prefixes = {name.rsplit(".", 2)[0] for name in detector.state_dict() if name.startswith("model.")}
    assert all(prefix.startswith("model.encoder") for prefix in prefixes)
    encoder = {f"model.encoder.{name}" for name in Stub(SIZE).encoder.state_dict()}
    assert encoder <= detector.state_dict().keys()


def test_masks_are_empty_and_take_no_random_number(detector):
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert detector.draw_masks(4, generator, rows=slice(1, 3)).shape == (2, 0)
    assert torch.equal(before, generator.get_state())


def test_it_learns_where_and_whether(detector):
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-2)
    for step in range(60):
        loss = sum(detector.loss_terms(batch([True, False] * 4, step), torch.Generator()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    volumes = batch([True, False] * 8, 1000)
    scores = detector.score(volumes[:, :1])
    assert scores[::2, 13].min() > scores[1::2, 13].median()
    assert (scores[::2, :13].argmax(dim=1) == SITE - 1).all()
    cells = detector.cell_map(volumes[::2, :1]).flatten(1).argmax(dim=1)
    truth = detector._cell_sites(volumes[::2, 1:]).flatten(1)
    assert (truth.gather(1, cells[:, None]) > 0).float().mean() > 0.8


def test_a_model_without_coarse_maps_is_refused(monkeypatch):
    monkeypatch.setitem(MODELS, "stub", Stub)
    with pytest.raises(
        ValueError, match=r"no map of stub has cells of 16 voxels; its strides are \[2, 4, 8\]"
    ):
        build_method("detection", model="stub", img_size=SIZE, cell=16)
