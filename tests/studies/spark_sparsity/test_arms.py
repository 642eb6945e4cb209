"""The row that describes an arm."""

from types import SimpleNamespace

from torch import nn

from studykit.studies.spark_sparsity.arms import described


def test_the_encoder_is_counted_apart():
    method = nn.Module()
    method.model = nn.Module()
    method.model.encoder, method.model.head = nn.Linear(3, 4), nn.Linear(4, 1)
    study = SimpleNamespace(
        untrained=lambda name: method,
        flops=lambda name: SimpleNamespace(total=5e9, by_module={"model.encoder": 4e9}),
        operations_a_step=lambda name: 60e9,
    )
    assert described(study, "sparse") == {
        "arm": "sparse", "parameters": 21, "of the encoder": 16,
        "GFLOP of a crop": 5.0, "in the encoder": 4.0, "GFLOP a step": 60.0,
    }  # fmt: skip
