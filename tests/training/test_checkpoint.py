"""Checkpoints come back whole or are refused with a reason, run no code, and are never half-written."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from toy_training import ToyMethod

from studykit.training.checkpoint import (
    CheckpointError,
    export_weights,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)

CONFIGURATION = {"lr": 0.1, "betas": (0.9, 0.95)}
STATE = {"step": 7, "weights": torch.arange(2000.0), "random": [{"cpu": torch.get_rng_state()}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint.pt", STATE, CONFIGURATION)
    return tmp_path / "checkpoint.pt"


def test_comes_back_equal(path: Path) -> None:
    state = load_checkpoint(path, CONFIGURATION)
    assert state["step"] == 7
    assert torch.equal(state["weights"], STATE["weights"])
    assert torch.equal(state["random"][0]["cpu"], STATE["random"][0]["cpu"])


def test_no_file_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint.pt", CONFIGURATION) is None


def test_another_configuration_names_what_differs(path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lr was 0\.1, is 0\.3; seed was None, is 1\."):
        load_checkpoint(path, {**CONFIGURATION, "lr": 0.3, "seed": 1})


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_truncated_is_named(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged .* Remove it"):
        load_checkpoint(path, CONFIGURATION)


def test_flipped_bytes_are_named(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path, CONFIGURATION)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("dump", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, dump) -> None:
    dump({"format": 1, "configuration": {}, "state": Bomb(tmp_path / "ran")}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of plain tensors"):
        load_checkpoint(tmp_path / "checkpoint.pt", {})
    assert not (tmp_path / "ran").exists()


def test_later_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 99, "configuration": {}, "state": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="has format 99, this version of studykit reads 1"):
        load_checkpoint(tmp_path / "checkpoint.pt", {})


def test_full_disk_leaves_the_old_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"step": 8}, CONFIGURATION)
    assert path.read_bytes() == written
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_inside_torch_is_an_oserror(path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    written = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(path, STATE, CONFIGURATION)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == written
    assert list(path.parent.iterdir()) == [path]


def test_weights_and_metadata_come_back(tmp_path: Path) -> None:
    method = ToyMethod()
    method.body[0].weight.data = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)).T
    export_weights(method, tmp_path / "weights.safetensors", {"method": "toy", "version": 1, "sizes": [4, 4]})
    weights, metadata = load_weights(tmp_path / "weights.safetensors")
    assert metadata == {"method": "toy", "version": 1, "sizes": [4, 4]}
    assert weights.keys() == method.state_dict().keys()
    other = ToyMethod()
    other.load_state_dict(weights)
    for name, value in method.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_shared_weights_can_be_exported(tmp_path: Path) -> None:
    method = torch.nn.ModuleDict({"one": torch.nn.Linear(3, 3), "two": torch.nn.Linear(3, 3)})
    method["two"].weight = method["one"].weight
    export_weights(method, tmp_path / "weights.safetensors", {})
    weights, _ = load_weights(tmp_path / "weights.safetensors")
    assert torch.equal(weights["one.weight"], weights["two.weight"])


def test_bad_weights_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    export_weights(ToyMethod(), path, {})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is not a weights file"):
        load_weights(path)
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "none.safetensors")
