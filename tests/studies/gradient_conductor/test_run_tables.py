"""Rows over runs of optimizers, of tables and runs whose numbers are known."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from studykit.claims.estimate import Estimate
from studykit.methods import build_method
from studykit.studies.gradient_conductor.run_tables import (
    conflict_means,
    memory_held,
    ratio_cells,
    recorded,
    tried,
)

TABLE = pd.DataFrame(
    {"learning rate": [3e-3, 1e-3], "state": ["diverged", "done"], "error": [float("nan"), 0.5]}
)


def run(**columns):
    return SimpleNamespace(metrics=pd.DataFrame({"step": [0, 1, 2], **columns}))


def test_a_rate_at_the_edge_and_a_diverged_run_are_told():
    assert tried(TABLE, 1e-3) == {
        "rates tried": "0.001, 0.003", "chosen": "0.001", "at the edge": "yes", "diverged": 1,
        "own loss": 0.5,
    }  # fmt: skip
    inner = pd.concat([TABLE, TABLE.assign(**{"learning rate": [2e-3, 2e-3]})])
    assert tried(inner, 2e-3)["at the edge"] == "no"


def test_cells_of_a_ratio_tell_who_never_arrived():
    cells = ratio_cells(Estimate(2.0, 1.0, 4.0, 5, "mechanism", censored=2))
    assert cells == {"ratio": 2.0, "low": 1.0, "high": 4.0, "seeds": 5, "seeds that never arrived": 2}


def test_what_was_not_recorded_at_a_step_is_passed_over():
    [(steps, values)] = recorded([run(x=[None, 1.0, 3.0])], "x")
    assert steps.tolist() == [1, 2] and values.tolist() == [1, 3]


def test_means_are_over_training_and_runs():
    norms = {f"grad_norm/{part}": [1.0, 2.0, 3.0] for part in ("brightness", "contrast", "structure")}
    runs = [run(**{"conflict/cosine": [None, value, value]}, **norms) for value in (-0.2, -0.4)]
    means = conflict_means(runs)
    assert means["smallest cosine"] == pytest.approx(-0.3) and means["norm of contrast"] == 2
    assert means["resolutions a step"] is None


def test_memory_is_what_the_formula_says():
    torch.manual_seed(0)
    loss = {"loss": "mvc", "loss_options": {"structure": "correlation", "sub_patch": 2}}
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 2, "window_size": 2}
    crops = torch.randn(1, 1, 16, 16, 16)
    rows = []
    for apart in (False, True):
        method = build_method("bertswin", **sizes, **loss)
        masks = method.draw_masks(1, torch.Generator().manual_seed(0))
        rows.append(memory_held(method, crops, masks, apart))
    assert rows[0]["losses"] == 1 < rows[1]["losses"]
    assert all(row["bytes a parameter"] == pytest.approx(row["by formula"], rel=0.02) for row in rows)
    assert all(row["gradients in bf16"] < row["by formula"] for row in rows)
