"""Weights of kernels over a run's kept steps, read from the method that each of them gives."""

from types import SimpleNamespace

import torch

from studykit.studies.spine_ablation import fusion_weights


def test_weights_are_read_at_the_beginning_and_at_each_kept_step(monkeypatch):
    def method_at(run, step):
        own = torch.tensor([[1.0 + step, 3.0 + step], [0.0, 2.0]])
        return SimpleNamespace(model=SimpleNamespace(fusion_weights=lambda crop: [own, None]))

    monkeypatch.setattr(fusion_weights, "kept_steps", lambda run: (5, 10))
    monkeypatch.setattr(fusion_weights, "method_at", method_at)
    found = fusion_weights.kernel_weights(None, torch.zeros(1))
    assert found == {0: [2.0, 1.0], 5: [7.0, 1.0], 10: [12.0, 1.0]}
