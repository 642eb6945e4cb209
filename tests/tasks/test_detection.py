"""The detection task: volumes and truth brought together by subject, and validated by their ranks."""

import numpy as np
import pytest
import torch
from torch import nn

from studykit.data.angiography.sites import LABELS, SITES
from studykit.data.angiography.subjects import AngiographyRow
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.data.volumes.volumes import VolumeSettings
from studykit.tasks import detection
from studykit.training.config import TrainingConfig
from studykit.training.distributed import SINGLE

TRAINING = TrainingConfig(steps=2, batch_size=4, lr=1e-3, eval_every=1, checkpoint_every=1)
COUNT = 8


def volume(number):
    """Brightness tells the subject; every second has a sac."""
    image = np.full((6, 6, 6), float(number), np.float32) + np.linspace(0, 0.1, 6, dtype=np.float32)
    labels = np.zeros((6, 6, 6), np.int32)
    labels[2, 3, 4] = 2 * (number % 2)
    return PreparedVolume(f"s{number}", image, labels >= 0, labels, np.eye(4), "MR", str(number))


def row(number):
    site = SITES[number] if number % 2 else ""
    return AngiographyRow(f"s{number}", bool(site), site, 6.0, (0.0, 0.0, 0.0))


@pytest.fixture
def recipe(monkeypatch):
    volumes = tuple(volume(number) for number in range(COUNT))
    data = Prepared("angio", volumes, (), VolumeSettings(), "fingerprint")
    rows = tuple(row(number) for number in reversed(range(COUNT)))
    monkeypatch.setattr(detection, "open_aneurysms", lambda source, spacing: (data, rows))
    ids = [f"s{number}" for number in range(COUNT)]
    return detection.Recipe("angio:mra:8", "fingerprint", 1.0, 6, tuple(ids[:4]), tuple(ids[4:]))


class Brightness(nn.Module):
    """Scores a volume by its mean, so ranks are those of the subjects' numbers."""

    def score(self, images):
        assert images.shape[1] == 1, "the truth is not shown"
        return images.mean(dim=(1, 2, 3, 4))[:, None].expand(-1, len(LABELS)) / 10


def test_batches_are_half_positive_and_have_the_site_of_their_own_subject(recipe):
    batches, _ = detection.ground(recipe, Brightness(), TRAINING, SINGLE)
    batch = batches.draw(torch.Generator().manual_seed(0))
    assert batch.shape == (4, 2, 6, 6, 6)
    largest = batch[:, 1].flatten(1).amax(dim=1)
    assert (largest[0::2] > 0).all() and largest[1::2].eq(0).all()


def test_the_validation_error_is_one_less_the_area_under_the_curve(recipe):
    _, validate = detection.ground(recipe, Brightness(), TRAINING, SINGLE)
    told = validate(Brightness())
    # Held out are 4 to 7, with a sac at 5 and 7: three of four pairs are in order.
    assert told["error"] == pytest.approx(0.25)
    assert 0 <= told["weighted_auc"] <= 1


def test_labels_follow_the_volumes_not_the_table(recipe):
    data, rows = detection.open_aneurysms("", 1.0)
    labels = detection.labels_of(data.volumes, rows)
    assert labels[:, -1].tolist() == [0, 1] * 4
    assert labels[3, 3] == 1 and labels[3, :-1].sum() == 1


def test_other_volumes_than_configured_are_refused(recipe, monkeypatch):
    from dataclasses import replace

    with pytest.raises(ValueError, match="holds other volumes"):
        detection.ground(replace(recipe, fingerprint="another"), Brightness(), TRAINING, SINGLE)


def test_images_go_where_the_method_is_and_scores_come_back(recipe):
    class Elsewhere(Brightness):
        """Its weights are on another device."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(1, device="meta"))

        def score(self, images):
            assert images.device.type == "meta"
            return torch.full((len(images), len(LABELS)), 0.5)

    data, rows = detection.open_aneurysms("", 1.0)
    found = detection.test_rows(Elsewhere(), data.volumes, rows, 6)
    assert [row["subject"] for row in found] == [f"s{number}" for number in range(COUNT)]
    assert all(row[f"score {name}"] == 0.5 for row in found for name in LABELS)
