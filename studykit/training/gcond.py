"""GradientConductor: one update from the gradients of several losses (Limarenko et al., arXiv 2509.07252).

    losses ─► a gradient each, over K micro-batches ─► conflicts resolved ─► sum ─► momentum ─► optimizer

Conflicts are resolved in conflict.py. With :class:`~studykit.training.sign_momentum.SignMomentum` as the
optimizer this is the published "Lion mode", with AdamW and β₁ = 0 its "standard mode". With one loss there is
nothing to resolve, and what is left is the momentum.

Gradients stay in fp32 where the published code keeps bf16, so they take twice the memory. Losses are taken in
the order of their names, so that the order of a dict means nothing.

With one loss, and with two of which no pair is critical, the updates are those of the published code. In five
things that one differs, and none is described in the paper:

- **What a gradient is compared with.** It resolves in place, so its "gradient of the step before" is what was
  left of it after resolution. Here it is the raw one, as a comment there says, too.
- **Where the averages of norms start**: at 1, here at the first norms. For some sixty steps a loss with a
  larger raw norm is so the stronger one there, which the published runs had. ``norm_start=1.0`` gives it.
- **What three or more losses are judged by**: gradients halfway through a step's resolutions; here raw ones.
- **What counts as no gradient**: a squared norm below 1e-8 there, a share of its raw norm here.
- **Whose wins are counted**: a list over all pairs there, a count a task here; published runs limit none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from studykit.training.conductor_memory import ConductorMemory
from studykit.training.conflict import ConflictRule, arbiter_scores, resolve
from studykit.training.distributed import SINGLE, World
from studykit.training.task_gradients import cosines, inner_products, trainable_parameters

SAMPLINGS = ("exact", "stochastic")


@dataclass(frozen=True, kw_only=True)
class ConductorConfig(ConflictRule):
    """How gradients are gathered, judged and averaged; defaults as in all published runs.

    Raises:
        ValueError: a value that no conductor can have; the message names it.
    """

    sampling: str = "exact"
    """``exact``: each loss on each of the K micro-batches. ``stochastic``: N losses take K / N consecutive
    ones each, in the order of their names, so that a micro-batch costs one backward pass."""
    norm_decay: float = 0.95
    """Decay of the moving average of each gradient's norm."""
    norm_start: float | None = None
    """What these averages start at: None for the first norms, 1.0 in the published code."""
    momentum: float = 0.9
    """β of the momentum; 0 leaves momentum to the optimizer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._demand(self.sampling in SAMPLINGS, "sampling", f"one of {', '.join(SAMPLINGS)}")
        self._demand(0 <= self.norm_decay < 1, "norm_decay", "in [0, 1)")
        self._demand(self.norm_start is None or self.norm_start > 0, "norm_start", "None or above 0")
        self._demand(0 <= self.momentum < 1, "momentum", "in [0, 1)")


PUBLISHED = ConductorConfig()


class GradientConductor:
    """Stands where an optimizer stands, and feeds the one it wraps.

    For each of ``accumulate`` micro-batches call :meth:`backward` with the named losses, then :meth:`step`.
    Learning rates are those of the wrapped optimizer's ``param_groups``. A parameter that a loss does not
    reach has gradient 0 there.

    On several processes, forward passes go through the bare module or under DistributedDataParallel's
    ``no_sync``: the gradients of all losses are averaged over the ranks here, in one reduction a step, and
    every rank then decides alike.

    A gradient that is not finite is not skipped: it reaches the parameters, and ``grad_norm`` of :meth:`step`
    says so; go back to the last checkpoint.

    Args:
        optimizer: any torch optimizer without a momentum of its own; its trainable parameters are trained.
        accumulate: K, micro-batches a step.
        config: see :class:`ConductorConfig`.
        world: the processes that train together.
        weighting: what resolves conflicts in place of conflict.py, None for that: from the inner products of
            several raw gradients, float64 (tasks, tasks), to the weights (tasks,) of their sum; alike on
            every rank. :func:`~studykit.training.peers.peer_weighting` has published ones.

    Raises:
        ValueError: the optimizer has no trainable parameter, has some that are not fp32 or not on one device,
            or would apply momentum a second time.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        accumulate: int = 1,
        config: ConductorConfig = PUBLISHED,
        world: World = SINGLE,
        weighting: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"accumulate is {accumulate!r}, it must be at least 1")
        if config.momentum:
            _refuse_momentum(optimizer)
        self.optimizer = optimizer
        self._parameters = trainable_parameters(optimizer)
        self._accumulate = accumulate
        self._config = config
        self._world = world
        self._weighting = weighting
        self._memory: ConductorMemory | None = None
        self._seen = 0
        self._steps = 0

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def backward(self, losses: Mapping[str, Tensor]) -> None:
        """Add one micro-batch's gradients.

        Args:
            losses: named scalars, weighted as they should be summed; always the same names. One that depends
                on no parameter has gradient 0.

        Raises:
            ValueError: other names than before, or stochastic sampling cannot give each the same share of K.
            RuntimeError: there were K micro-batches already, or no loss depends on a parameter.
        """
        if self._seen == self._accumulate:
            raise RuntimeError(f"all {self._accumulate} micro-batch(es) are in: call step() first")
        if not any(loss.requires_grad for loss in losses.values()):
            raise RuntimeError(f"none of the losses {', '.join(losses)} depends on a parameter")
        if self._memory is None:
            self._prepare(sorted(losses))
        names = self._memory.losses
        if losses.keys() != set(names):
            raise ValueError(f"got losses {', '.join(sorted(losses))}; known are {', '.join(names)}")
        share, due = self._accumulate, names
        if self._config.sampling == "stochastic":
            share //= len(names)
            due = [names[self._seen // share]]
        attached = [name for name in due if losses[name].requires_grad]
        for name in due:
            gradients: Sequence[Tensor | None] = [None] * len(self._parameters)
            if name in attached:
                gradients = torch.autograd.grad(
                    losses[name] / (share * self._world.size),
                    self._parameters,
                    retain_graph=name != attached[-1],
                    allow_unused=True,
                )
            self._memory.gathered.put(names.index(name), gradients, first=self._seen % share == 0)
        self._seen += 1

    @torch.no_grad()
    def step(self, clip_norm: float | None = None) -> dict[str, Tensor]:
        """Resolve, average over time, and let the optimizer step.

        Args:
            clip_norm: largest norm of the averaged gradient that the optimizer gets, None for no limit.

        Returns:
            scalars on the parameters' device: ``grad_norm`` of the resolved sum, ``grad_norm/<loss>`` of each
            raw gradient; with several losses also ``conflict/cosine``, the smallest of a pair, and
            ``conflict/resolutions``, how many times a pair was resolved, unless a ``weighting`` did it.

        Raises:
            RuntimeError: there were fewer than K micro-batches.
        """
        if self._seen < self._accumulate:
            raise RuntimeError(f"step() after {self._seen} of {self._accumulate} micro-batch(es)")
        memory, beta, count = self._memory, self._config.momentum, self.param_groups[0].get("steps")
        if self._world.size > 1:
            dist.all_reduce(memory.gathered.flat)
        weights, told = self._conduct(memory)
        memory.momentum.mul_(beta)
        for gradient, weight in zip(memory.gathered.flat, ((1 - beta) * weights).float(), strict=True):
            memory.momentum.addcmul_(gradient, weight)
        self._steps += 1
        if memory.earlier is not None and count is None:
            memory.gathered, memory.earlier = memory.earlier, memory.gathered
        elif memory.earlier is not None:  # a graph reads and writes where it did when it was captured
            memory.earlier.flat.copy_(memory.gathered.flat)
        # What is left in the buffer to gather in next is spent: its first row holds what the optimizer reads.
        shrunk = 1 - beta ** (self._steps if count is None else count)
        torch.div(memory.momentum, shrunk, out=memory.gathered.flat[0])
        for parameter, gradient in zip(self._parameters, memory.gathered.views[0], strict=True):
            parameter.grad = gradient
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, clip_norm)
        self.optimizer.step()
        self.zero_grad()
        return told

    def zero_grad(self) -> None:
        """Forget the micro-batches since the last step, and gradients that it left."""
        self._seen = 0
        for parameter in self._parameters:
            parameter.grad = None

    def set_steps(self, count: int) -> None:
        """Say how many steps were taken, where a graph took them and nobody counted."""
        self._steps = count

    def memory_bytes(self) -> int:
        """Bytes held besides the optimizer's: 4 (2 N + 1) a parameter for N losses, 8 for one.

        0 before the first micro-batch.
        """
        if self._memory is None:
            return 0
        return self._memory.gathered.flat.nbytes + sum(t.nbytes for t in self._memory.tensors().values())

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, the optimizer's too; references, as torch's optimizers give them.

        Raises:
            RuntimeError: between two micro-batches of one step.
        """
        if self._seen:
            raise RuntimeError(f"state asked for after {self._seen} of {self._accumulate} micro-batch(es)")
        return {
            "optimizer": self.optimizer.state_dict(),
            "steps": self._steps,
            "losses": self._memory.losses if self._memory else [],
            "memory": self._memory.tensors() if self._memory else {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`, bit for bit.

        Raises:
            ValueError: it belongs to other losses or parameters.
        """
        losses, saved = list(state["losses"]), state["memory"]
        if self._memory and losses and losses != self._memory.losses:
            raise ValueError(
                f"the state is of losses {', '.join(losses)}; known are {', '.join(self._memory.losses)}"
            )
        size = sum(parameter.numel() for parameter in self._parameters)
        if saved and saved["momentum"].numel() != size:
            raise ValueError(f"the state is of {saved['momentum'].numel()} parameters, there are {size}")
        self.optimizer.load_state_dict(state["optimizer"])
        self._steps, self._seen, self._memory = state["steps"], 0, None
        if losses:
            self._prepare(losses)
            for name, tensor in self._memory.tensors().items():
                tensor.copy_(saved[name])

    def _prepare(self, losses: list[str]) -> None:
        if self._config.sampling == "stochastic" and self._accumulate % len(losses):
            raise ValueError(
                f"stochastic sampling of {len(losses)} losses ({', '.join(losses)}) needs accumulate to be a "
                f"multiple of {len(losses)}, it is {self._accumulate}"
            )
        self._memory = ConductorMemory.for_losses(losses, self._parameters)

    def _conduct(self, memory: ConductorMemory) -> tuple[Tensor, dict[str, Tensor]]:
        """Weights (tasks,) with which raw gradients add up to the resolved sum, and what step() tells."""
        raw, told = memory.gathered.flat, {}
        compared = memory.earlier is not None and self._weighting is None
        gram, *with_earlier = inner_products(raw, *([memory.earlier.flat] if compared else []))
        norms = gram.diagonal().sqrt()
        start, decay = self._config.norm_start, self._config.norm_decay
        if not self._steps and start is not None:
            memory.norm_average.fill_(start)
        decay = decay if self._steps or start is not None else 0.0
        memory.norm_average.copy_(decay * memory.norm_average + (1 - decay) * norms)
        weights = torch.ones_like(norms)
        if memory.earlier is not None:
            first, second = torch.triu_indices(len(norms), len(norms), offset=1, device=norms.device)
            told["conflict/cosine"] = cosines(gram, norms, norms)[first, second].min()
            if self._weighting is None:
                likeness = cosines(with_earlier[0], norms, memory.norms).diagonal()
                strength = torch.where(memory.norm_average > 0, norms / memory.norm_average, 0)
                scores = arbiter_scores(likeness, strength, self._config)
                combination, wins, count = resolve(gram, scores, memory.wins, self._config)
                memory.wins.copy_(wins)
                weights, told["conflict/resolutions"] = combination.sum(0), count
            else:
                weights = self._weighting(gram).to(gram)
        memory.norms.copy_(norms)
        told["grad_norm"] = (weights @ gram @ weights).clamp(min=0).sqrt()
        told |= {f"grad_norm/{name}": norm for name, norm in zip(memory.losses, norms, strict=True)}
        return weights, {name: value.float() for name, value in told.items()}


def _refuse_momentum(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        if beta := group.get("momentum") or group.get("betas", (0,))[0]:
            raise ValueError(
                f"{type(optimizer).__name__} has a momentum of its own, {beta}, which would come on top: "
                "give the optimizer none, or the conductor momentum=0"
            )
