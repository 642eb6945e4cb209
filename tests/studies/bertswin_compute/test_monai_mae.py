import warnings

import torch

from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.studies.bertswin_compute.monai_mae import monai_autoencoder


def test_the_released_baseline_has_our_sizes_and_is_built_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = monai_autoencoder(img_size=32)
    ours = build_model("mae-vit", img_size=32)
    unused = sum(p.numel() for name, p in theirs.named_parameters() if "norm_cross_attn" in name)
    assert count_parameters(theirs) - unused == count_parameters(ours)
    prediction, mask = theirs(torch.zeros(1, 1, 32, 32, 32))
    assert prediction.shape == (1, 8, 16**3)
    assert int(mask.sum()) == 6
