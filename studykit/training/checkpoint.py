"""Checkpoints: never half-written, plain tensors only, and bound to the training that wrote them."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from studykit.atomic import replace_into

CHECKPOINT = "checkpoint.pt"
BEST = "best.safetensors"
SNAPSHOTS = "snapshots"
FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint or a weights file that cannot be used: damaged, unsafe, or of another training."""


def save_checkpoint(path: str | Path, state: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings and containers of them) and the configuration it belongs to.

    Raises:
        OSError: the disk refused, for instance because it is full; an older checkpoint is still whole.
    """
    content = {"format": FORMAT, "configuration": dict(configuration), "state": dict(state)}
    with replace_into(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # torch reports a failed write as a position that it did not expect, and hides the cause in the
            # context.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: str | Path, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state that :func:`save_checkpoint` wrote, on CPU, or None where there is no file.

    Raises:
        CheckpointError: the file is damaged, holds anything but plain tensors and containers, or was written
            for another configuration; the message names what differs.
    """
    path = Path(path)
    if not path.exists():
        return None
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"checksum of {damaged}")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
            version, written, state = content["format"], content["configuration"], content["state"]
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise CheckpointError(
                f"{path} is damaged or not a checkpoint of plain tensors, and was not loaded ({reason}). "
                "Remove it to start this run again."
            ) from error
    if version != FORMAT:
        raise CheckpointError(f"{path} has format {version!r}, this version of studykit reads {FORMAT}")
    differing = [
        f"{key} was {written.get(key)!r}, is {configuration.get(key)!r}"
        for key in sorted(written.keys() | configuration.keys())
        if written.get(key) != configuration.get(key)
    ]
    if differing:
        raise CheckpointError(
            f"{path} belongs to another training: {'; '.join(differing)}. Use another folder, or remove it."
        )
    return state


def random_states(device: torch.device) -> dict[str, Tensor]:
    """States of torch's global generators, which feed dropout: the CPU's, and that of a CUDA ``device``."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def snapshot_name(step: int) -> str:
    """File of the weights after ``step`` optimizer steps; names sort by step."""
    return f"{step:08d}.safetensors"


def export_weights(
    method: nn.Module, path: str | Path, metadata: Mapping[str, Any], *, under: str = ""
) -> None:
    """Write the weights of ``method`` as safetensors, with ``metadata`` (JSON values) in the header.

    ``under`` is what the names of those that are written begin with.
    """
    weights = {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in method.state_dict().items()
        if name.startswith(under)
    }
    header = {key: json.dumps(value, sort_keys=True, allow_nan=False) for key, value in metadata.items()}
    with replace_into(path) as temporary:
        save_file(weights, temporary, metadata=header)


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights by name, on CPU, and metadata of a file that :func:`export_weights` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is no safetensors file, or was cut short.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is not a weights file of studykit: {error}") from error
    return weights, metadata
