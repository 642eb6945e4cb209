"""What claims' cards tell of the released networks is what ours count, too."""

import torch

from studykit.claims.paper import find_claim
from studykit.metrics.compute import count_parameters
from studykit.models.bertswin import BertsWinNet
from studykit.models.nnformer import NnFormer
from studykit.models.waveformer import Upsampling, WaveFormer


def told(claim):
    """All that a card says of what is unknown, and of changes of its rule."""
    found = find_claim(claim)
    return " ".join((*found.unknown, *(" ".join(one.what.split()) for one in found.deviations)))


def test_the_size_of_nnformer():
    with torch.device("meta"):
        model = NnFormer(in_channels=4, num_classes=4)
    twice = sum(n.numel() for name, n in model.decoder.named_parameters() if "position_bias" in name)
    text = told("nnformer-mae/higher-dice")
    assert f"{count_parameters(model):,}" in text and f"{count_parameters(model) + twice:,}" in text


def test_the_size_of_waveformer_and_of_what_the_paper_counts():
    with torch.device("meta"):
        model = WaveFormer(128, in_channels=4, num_classes=4)
    refined = 0
    for module in model.modules():
        if isinstance(module, Upsampling):
            refined += sum(map(count_parameters, (module.depthwise, module.norm, module.refine)))
    claim = find_claim("rsna-pipeline/waveformer-parameters")
    plain, whole = count_parameters(model) - refined, count_parameters(model)
    assert f"{plain:,}" in told(claim.key) and f"{whole:,}" in told(claim.key)
    assert round(plain / 1e6, 2) == claim.reported[0].value


def test_the_size_of_bertswin_at_coarse_patches():
    with torch.device("meta"):
        model = BertsWinNet(patch_size=32)
    assert f"{count_parameters(model):,} parameters" in told("bertswin/coarse-patches-favour-sparse")


def test_padding_is_named_where_a_grid_is_padded():
    assert "on padded grids ours is not the released function" in told("bertswin/flops-bertswin-512")
