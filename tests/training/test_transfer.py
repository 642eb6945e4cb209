"""Whole parts are taken over or nothing is, and the report says which."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from studykit.methods import build_method
from studykit.models import build_model
from studykit.training.transfer import transfer_weights


class Pretraining(nn.Module):
    """A method with a network in parts and a token of its own."""

    def __init__(self, **options):
        super().__init__()
        self.model = build_model("unet", **{"img_size": 16, "channels": (4, 8), **options})
        self.mask_token = nn.Parameter(torch.zeros(1))


class Positioned(nn.Module):
    """An encoder with a table for its grid."""

    def __init__(self, grid):
        super().__init__()
        self.model = nn.Module()
        self.model.encoder = nn.Module()
        self.model.encoder.positions = nn.Parameter(torch.randn(1, grid**3, 6))


def pretrained(**options):
    torch.manual_seed(1)
    return Pretraining(**options).state_dict()


def target(channels=(4, 8)):
    torch.manual_seed(0)
    return build_method("supervised", model="unet", num_classes=3, img_size=16, channels=channels)


def copied(method):
    return {name: value.clone() for name, value in method.state_dict().items()}


@pytest.mark.parametrize("parts", [("encoder",), ("encoder", "decoder"), ["decoder"]])
def test_parts_asked_for_come_from_the_checkpoint_and_others_stay(parts):
    method, weights = target(), pretrained()
    before = copied(method)
    report = transfer_weights(method, weights, parts)
    for name, value in method.state_dict().items():
        taken = name.split(".")[1] in parts
        assert (name in report.loaded) == taken and (name in report.missing) != taken
        assert torch.equal(value, weights[name] if taken else before[name])
    assert not any(name.startswith("model.head") for name in report.loaded)
    assert set(report.unused) == {name for name in weights if name.split(".")[1:2] != [*parts]} - set(
        report.loaded
    )


def test_the_report_counts_parameters_and_can_be_shown_and_kept():
    method = target()
    report = transfer_weights(method, pretrained())
    encoder = sum(p.numel() for p in method.model.encoder.parameters())
    assert report.parameters_loaded == encoder
    assert report.share == pytest.approx(encoder / sum(p.numel() for p in method.parameters()))
    rows = {row["part"]: row for row in report.rows()}
    assert set(rows) == {"encoder", "decoder", "head", "mask_token"}
    assert rows["encoder"] == {"part": "encoder", "loaded": len(report.loaded), "missing": 0, "unused": 0}
    assert rows["mask_token"] == {"part": "mask_token", "loaded": 0, "missing": 0, "unused": 1}
    assert rows["head"]["loaded"] == 0 and rows["head"]["missing"] == rows["head"]["unused"] == 2
    text = str(report)
    assert text.startswith(
        f"encoder: {len(report.loaded)} weights from the checkpoint, {encoder:,} parameters"
    )
    assert text.count("\n") == 1 and f"{len(report.missing)} weights keep their own start" in text
    json.dumps(dataclasses.asdict(report))


def test_buffers_are_taken_but_not_counted():
    method, source = target(), target()
    for one in (method, source):
        one.model.encoder.register_buffer("seen", torch.zeros(5))
    source.model.encoder.seen += 3
    report = transfer_weights(method, source.state_dict())
    assert "model.encoder.seen" in report.loaded and (method.model.encoder.seen == 3).all()
    assert report.parameters_loaded == sum(p.numel() for p in method.model.encoder.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": (4, 12)}, r"model\.encoder\.levels\.1\.\S+ is \(12, .* in the checkpoint and \(8, "),
        ({"channels": (4, 8, 16)}, r"model\.encoder\.levels\.2\.\S+ is not in the method"),
        ({"in_channels": 2}, r"is \(4, 2, 3, 3, 3\) in the checkpoint and \(4, 1, 3, 3, 3\) in the method"),
    ],
)
def test_another_architecture_is_refused_and_nothing_is_loaded(options, words):
    method, before = target(), copied(target())
    with pytest.raises(ValueError, match=f"a checkpoint of another architecture: .*{words}") as caught:
        transfer_weights(method, pretrained(**options))
    assert "Build the method with the model, sizes and img_size" in str(caught.value)
    assert len(str(caught.value)) < 700, "the first ones only"
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_shallower_checkpoint_lacks_weights():
    with pytest.raises(ValueError, match=r"model\.encoder\.levels\.2\.\S+ is not in the checkpoint"):
        transfer_weights(target((4, 8, 16)), pretrained())


def test_another_model_is_refused_by_its_missing_part():
    weights = {"model.blocks.0.weight": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"the checkpoint has no weights under model\.encoder\."):
        transfer_weights(target(), weights)
    with pytest.raises(ValueError, match=r"the method has no weights under model\.decoder\."):
        transfer_weights(Positioned(2), Positioned(2).state_dict(), ("decoder",))


def test_a_position_table_of_another_grid_is_another_architecture():
    message = r"model\.encoder\.positions is \(1, 27, 6\) in the checkpoint and \(1, 8, 6\) in the method"
    with pytest.raises(ValueError, match=message):
        transfer_weights(Positioned(2), Positioned(3).state_dict())
    assert transfer_weights(Positioned(2), Positioned(2).state_dict()).share == 1


@pytest.mark.parametrize("parts", [("head",), (), ("encoder", "trunk")])
def test_parts_that_are_not_transferred_are_named(parts):
    with pytest.raises(ValueError, match="Known parts: encoder, decoder; a head belongs to its task"):
        transfer_weights(target(), pretrained(), parts)
