"""What a run's encoder makes of fixed crops, at any step whose weights the run kept."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.experiment import new_method
from studykit.runs import Run
from studykit.training.checkpoint import SNAPSHOTS, load_weights, snapshot_name


def kept_steps(run: Run) -> tuple[int, ...]:
    """Optimizer steps after which the run kept its weights, growing; empty where it kept none."""
    return tuple(sorted(int(path.stem) for path in (run.folder / SNAPSHOTS).glob("*.safetensors")))


def method_at(run: Run, step: int, device: str | torch.device = "cpu") -> nn.Module:
    """A run's method as it was after ``step`` optimizer steps, in evaluation mode; step 0 is untrained.

    Raises:
        FileNotFoundError: the run kept no weights of that step; the message lists the steps it kept.
    """
    method = new_method(run.config)
    if step:
        path = run.folder / SNAPSHOTS / snapshot_name(step)
        if not path.exists():
            kept = ", ".join(map(str, kept_steps(run))) or "none"
            raise FileNotFoundError(f"{run.label} kept no weights of step {step}. Steps kept: {kept}.")
        weights, _ = load_weights(path)
        method.load_state_dict(weights)
    return method.to(device).eval()


@torch.no_grad()
def token_features(method: nn.Module, crops: Tensor, batch_size: int = 16) -> Tensor:
    """Tokens of whole crops, nothing hidden: (N, 1, D, H, W) to float32 (N, T, width) on the CPU."""
    return torch.cat([_encode(method, part).cpu() for part in crops.split(batch_size)])


@torch.no_grad()
def pooled_features(
    method: nn.Module, crops: Tensor, batch_size: int = 16, *, normalised: bool = False
) -> Tensor:
    """Mean of each crop's tokens, nothing hidden: (N, 1, D, H, W) to float32 (N, width) on the CPU.

    Args:
        normalised: whether each token is first brought to mean 0 and deviation 1 over its features, so that
            an encoder that ends in such a normalisation can be held against one that does not.
    """
    parts = []
    for part in crops.split(batch_size):
        tokens = _encode(method, part)
        if normalised:
            tokens = F.layer_norm(tokens, tokens.shape[-1:])
        parts.append(tokens.mean(dim=1).cpu())
    return torch.cat(parts)


def _encode(method: nn.Module, crops: Tensor) -> Tensor:
    return method.encode(crops.to(next(method.parameters()).device)).float()
