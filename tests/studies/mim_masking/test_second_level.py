"""The second level of masks does nothing to the blueprint's loss, and something to ours."""

import pandas as pd
import torch

from studykit.methods import build_method
from studykit.studies.mim_masking.second_level import second_level_rows


def test_only_ours_changes_with_the_second_level():
    torch.manual_seed(0)
    wave = {"model": "wave-unet", "widths": [8, 16, 16], "depth": 1, "head_dim": 8}
    method = build_method("mim", masking="nested", img_size=32, **wave).eval()
    images = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    coarse, fine = method.draw_masks(2, torch.Generator().manual_seed(0)).unbind(1)
    rows = pd.DataFrame(second_level_rows(method, images, coarse, fine))
    assert len(rows) == 6 and set(rows["loss"]) == {"blueprint", "ours"}
    change = (rows["without the second"] / rows["both masks"] - 1).abs().groupby(rows["loss"])
    assert change.max()["blueprint"] < 1e-5 < change.min()["ours"]
