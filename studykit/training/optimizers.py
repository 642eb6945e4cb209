"""The optimizer that a configuration names: AdamW, sign momentum, or a conductor in front of it.

AdamW (Loshchilov & Hutter 2019) decays weight matrices and kernels only.
"""

from typing import Any

import torch
from torch import nn

from studykit.training.config import TrainingConfig
from studykit.training.distributed import SINGLE, World
from studykit.training.gcond import ConductorConfig, GradientConductor
from studykit.training.peers import PEERS, peer_weighting
from studykit.training.sign_momentum import SignMomentum

TABLE_NAMES = ("bias", "token", "pos_", "position")


def build_optimizer(
    module: nn.Module, config: TrainingConfig, world: World = SINGLE
) -> torch.optim.Optimizer | GradientConductor:
    """Optimizer ``config.optimizer`` over the trainable parameters of a module.

    Raises:
        ValueError: the module has no trainable parameter.
    """
    if config.optimizer == "adamw":
        return build_adamw(module, lr=config.lr, weight_decay=config.weight_decay, betas=config.betas)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(module).__name__} has no trainable parameter")
    momentum = config.betas[0]
    if config.optimizer == "sign-momentum":
        return SignMomentum(parameters, lr=config.lr, clip=config.trust_clip, momentum=momentum)
    return GradientConductor(
        SignMomentum(parameters, lr=config.lr, clip=config.trust_clip, momentum=0.0),
        accumulate=config.accumulate,
        config=ConductorConfig(momentum=momentum, norm_start=config.norm_start),
        world=world,
        weighting=peer_weighting(config.optimizer) if config.optimizer in PEERS else None,
    )


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups, the second without decay; a group that would be empty is left out.

    Spared are parameters with at most one axis (biases, norm scales), those whose own name says that they are
    a bias, a token or a position table (``relative_position_bias``, ``mask_token``, ``pos_embed``), and the
    weights of ``nn.Embedding``.
    """
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    decayed, spared = [], []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own_name = name.rpartition(".")[2]
            spare = (
                parameter.ndim <= 1
                or id(parameter) in embeddings
                or any(word in own_name for word in TABLE_NAMES)
            )
            (spared if spare else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_adamw(
    module: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """AdamW over :func:`parameter_groups`; the fused kernel, which is the fastest on CPU and on CUDA.

    Raises:
        ValueError: the module has no trainable parameter.
    """
    groups = parameter_groups(module, weight_decay)
    if not groups:
        raise ValueError(f"{type(module).__name__} has no trainable parameter")
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)
