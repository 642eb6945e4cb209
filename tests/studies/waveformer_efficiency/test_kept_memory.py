"""What attention keeps: the blueprint's call keeps its weights, and tables of measurements by side."""

import pandas as pd
import pytest

from studykit.studies.waveformer_efficiency.kept_memory import (
    kept_by_block,
    kept_by_call,
    repeated,
    times_more,
    weights_bytes,
)


def test_the_call_with_weights_keeps_them_on_top():
    more = kept_by_call(6, need_weights=True) - kept_by_call(6, need_weights=False)
    assert more >= weights_bytes(6) == 4 * 3 * 216**2


def test_the_smooth_band_keeps_less_than_the_whole_map():
    assert kept_by_block(8, 1) < kept_by_block(8, 0)


def test_measurements_are_paired_by_repetition():
    rows = [
        {"side": side, "block": name, "repetition": n, "seconds": scale * (n + 1) * side}
        for side in (8, 16)
        for n in range(3)
        for name, scale in (("whole map", 4.0), ("LLL band", 1.0))
    ]
    measured = pd.DataFrame(rows)
    assert repeated(measured, "seconds")["LLL band"] == {8: [8.0, 16.0, 24.0], 16: [16.0, 32.0, 48.0]}
    e = times_more(measured, "seconds", 16)
    assert e.value == pytest.approx(4) and e.n == 3 and e.high - e.low == pytest.approx(0, abs=1e-6)
