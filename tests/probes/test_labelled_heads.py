"""A head in tiles: every labelled voxel in one token, and a probe that reads what the tokens hold."""

import numpy as np
import pytest
import torch

from studykit.data.volumes.cache import PreparedVolume
from studykit.layers.patches import patchify
from studykit.probes.labelled_heads import labelled_head, labelled_heads, probe_both_ways
from studykit.probes.tissues import TISSUES

PATCH = 4
IDS = np.array([0, 1024, 41, 4, 10])
"""FreeSurfer: no label, cortex, white matter, ventricle, thalamus."""


def head(seed, shape=(18, 21, 30), margin=1):
    """Slabs of one tissue after the other along Z, brighter from one to the next, in air."""
    tissue = np.repeat(np.arange(5), 6)[None, None, :] * np.ones(shape, int)
    foreground = np.zeros(shape, bool)
    foreground[margin:-margin, margin:-margin] = True
    tissue[~foreground] = 0
    image = np.where(foreground, tissue + 1.0, 0.0) + 0.1 * np.random.default_rng(seed).normal(size=shape)
    return PreparedVolume(
        f"head{seed}", image.astype(np.float32), foreground, IDS[tissue], np.eye(4), "T1w", ""
    )


def mean_intensity(crops):
    return patchify(crops, PATCH).mean(dim=(3, 4, 5))


def near_levels(crops):
    """How near a token is to the brightness of each slab."""
    return torch.exp(-4 * (mean_intensity(crops) - torch.arange(1, 6)).square())


def test_tiles_hold_the_volume_once_and_tokens_have_the_tissue_of_their_patch():
    volume = head(0)
    tiled = labelled_head(volume, "freesurfer", 12, PATCH)
    assert tiled.crops.shape == (12, 1, 12, 12, 12) and tiled.tissues.shape == (12, 27)
    assert set(tiled.tissues.flatten().tolist()) <= {-1, 0, 1, 2, 3, 4}
    inside = tiled.crops[tiled.crops != volume.array.min()]
    assert inside.numel() == volume.array.size - 1
    intensity = mean_intensity(tiled.crops)[..., 0]
    for tissue in range(1, 5):
        assert abs(float(intensity[tiled.tissues == tissue].max()) - (tissue + 1)) < 0.5


def test_air_is_left_out_and_what_lies_inside_the_head_without_label_is_not():
    tiled = labelled_head(head(0), "freesurfer", 12, PATCH)
    intensity = mean_intensity(tiled.crops)[..., 0]
    assert (intensity[tiled.tissues == 0] > 0.5).all()
    assert (tiled.tissues[intensity < 0.2] == -1).all()


def test_a_tile_without_labelled_tissue_is_left_out():
    tiled = labelled_head(head(0), "freesurfer", 6, 2)
    assert len(tiled.crops) < 5 * 4 * 3 and (tiled.tissues > 0).any(dim=1).all()


def test_labels_of_another_scheme_or_none_are_refused():
    with pytest.raises(ValueError, match="neuromorphometrics does not have: 10, 1024"):
        labelled_head(head(0), "neuromorphometrics", 12, PATCH)
    unlabelled = PreparedVolume(
        "x", *[getattr(head(0), n) for n in ("array", "foreground")], None, np.eye(4), "", ""
    )
    with pytest.raises(ValueError, match="x has no labels"):
        labelled_head(unlabelled, "freesurfer", 12, PATCH)


def test_intensity_tells_bright_slabs_apart_and_noise_does_not():
    heads = [labelled_head(head(seed), "freesurfer", 12, PATCH) for seed in (0, 1)]
    scores = probe_both_ways(heads, near_levels)
    assert list(scores) == ["head1", "head0"]
    noise = torch.Generator().manual_seed(0)
    blind = probe_both_ways(heads, lambda crops: torch.randn(len(crops), 27, 3, generator=noise))
    for subject, score in scores.items():
        assert score.chance == 1 / len(TISSUES)
        assert score.balanced_accuracy > 0.9 > 0.4 > blind[subject].balanced_accuracy


def test_one_head_is_refused():
    with pytest.raises(ValueError, match=r"needs two heads, got \['head0'\]"):
        probe_both_ways([labelled_head(head(0), "freesurfer", 12, PATCH)], mean_intensity)


@pytest.mark.network
def test_the_sample_heads_have_tokens_of_every_tissue():
    first, second = labelled_heads(4.0, 32, 4)
    assert (first.subject, second.subject) == ("Pitt_50038", "Colin27")
    for tiled in (first, second):
        counts = torch.bincount(tiled.tissues[tiled.tissues >= 0], minlength=len(TISSUES))
        assert (counts[:3] > 20).all(), counts.tolist()
