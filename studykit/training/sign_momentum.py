"""Sign of the momentum, scaled by a trust ratio for each tensor: what GradientConductor is on one loss.

    m ← β m + (1 − β) g,   m̂ = m / (1 − βᵗ),   p ← p − lr · min(‖p‖ / ‖m̂‖, clip) · sign(m̂)

The sign is that of Lion (arXiv 2302.06675), the ratio that of LARS (arXiv 1708.03888) with the norm of m̂ in
place of the sign's, as the released code of GCond (arXiv 2509.07252) has it: the step shrinks where gradients
are large.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEGLIGIBLE = 1e-8
"""Norm of a tensor or of its momentum below which the trust ratio is 1."""


class SignMomentum(torch.optim.Optimizer):
    """The update above, without weight decay; nothing in it makes the host wait for the device.

    While a graph is captured ``lr``, and ``steps`` with the one at hand, are scalars on the device, see
    :class:`studykit.training.rates.Rates`.

    Args:
        params: parameters, or groups of them.
        lr: the trust coefficient.
        clip: largest trust ratio; 10 in BertsWin's released code, 50 in GCond's paper.
        momentum: β; 0 where the gradients that come in are averages already, as GradientConductor's are.

    Raises:
        ValueError: a setting out of its range; the message names it.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        clip: float = 10.0,
        momentum: float = 0.9,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"lr is {lr!r}, it must be at least 0")
        if not clip > 0:
            raise ValueError(f"clip is {clip!r}, it must be above 0")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum!r}, it must be in [0, 1)")
        super().__init__(params, {"lr": lr, "clip": clip, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            averages = [self._average(parameter, group) for parameter in parameters]
            sizes = torch.stack(torch._foreach_norm(parameters))
            slopes = torch.stack(torch._foreach_norm(averages))
            tiny = torch.minimum(sizes, slopes) < NEGLIGIBLE
            ratios, rate = torch.where(tiny, 1.0, sizes / slopes).clamp(max=group["clip"]), group["lr"]
            if isinstance(rate, Tensor):
                ratios, rate = ratios * rate, 1.0
            for parameter, average, ratio in zip(parameters, averages, ratios, strict=True):
                parameter.addcmul_(average.sign(), ratio, value=-rate)
        return loss

    def set_steps(self, count: int) -> None:
        """Say how many steps were taken, where a graph took them and nobody counted."""
        for state in self.state.values():
            state["step"] = count

    def _average(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        momentum = group["momentum"]
        if momentum == 0:
            return parameter.grad
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["exp_avg"].mul_(momentum).add_(parameter.grad, alpha=1 - momentum)
        return state["exp_avg"] / (1 - momentum ** group.get("steps", state["step"]))
