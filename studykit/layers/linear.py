"""A linear layer by the quickest path of the processor at hand, in fp32 on CPU.

Its three products are the output, the gradient to the input and the gradient to the weights. ``nn.Linear``
asks MKL for them, which on a processor not by Intel leaves half of AVX-512 unused; oneDNN, which torch brings
along as well, uses all of it, with one thread as with several. With AVX2 oneDNN is still the quicker one for
the first two products, but not for the third (``benchmarks/bench_linear.py``).

The path depends on nothing but the vector instructions, so every process of a machine takes the same one and
a run resumes bit-equal. ``STUDYKIT_LINEAR`` names another one; provenance says which it was.
"""

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATHS = {
    "onednn": "all products by oneDNN",
    "onednn-forward": "gradient to the weights by torch, the other products by oneDNN",
    "torch": "all products by torch",
}
_QUICKEST = {"AVX512": "onednn", "AVX2": "onednn-forward"}


def choose_path(capability: str, wanted: str | None = None) -> str:
    """One of :data:`PATHS` for a ``torch.backends.cpu.get_cpu_capability()``.

    >>> choose_path("AVX512", wanted="torch")
    'torch'

    Args:
        wanted: taken instead, where it is given.

    Raises:
        ValueError: ``wanted`` is none of them.
    """
    path = wanted or _QUICKEST.get(capability, "torch")
    if path not in PATHS:
        raise ValueError(f"Unknown STUDYKIT_LINEAR {path!r}. Known: {', '.join(PATHS)}.")
    return path if torch.backends.mkldnn.is_available() else "torch"


PATH = choose_path(torch.backends.cpu.get_cpu_capability(), os.environ.get("STUDYKIT_LINEAR"))
"""The path of this process."""


class Linear(nn.Linear):
    """``nn.Linear``: same parameters, same function up to the order of summation.

    >>> Linear(8, 4)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias: (..., in), (out, in) and (out) or None to (..., out).

    >>> linear(torch.ones(3, 2), torch.tensor([[1.0, 2.0]]))
    tensor([[3.],
            [3.],
            [3.]])
    """
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if PATH == "torch" or not plain or x.numel() == 0:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    return _Linear.apply(rows, weight, bias).view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """x (rows, in), weight (out, in), bias (out) or None, to (rows, out)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t(), None) if for_x else None,
            _weight_gradient(gradient, x) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )


def _weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """gradientᵀ x: (rows, out) and (rows, in) to (out, in)."""
    if PATH != "onednn":
        return gradient.t() @ x
    # oneDNN works along the columns of a product, and is quicker the more of them there are.
    if gradient.shape[1] > x.shape[1]:
        return _product(x.t(), gradient.t(), None).t().contiguous()
    return _product(gradient.t(), x.t(), None)


# An operator of its own, as torch.compile takes the one below with packed weights only.
torch.library.define("studykit::product", "(Tensor a, Tensor b, Tensor? bias) -> Tensor")


@torch.library.impl("studykit::product", "cpu")
def _onednn_product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    bias = None if bias is None else bias.contiguous()
    return torch.ops.mkldnn._linear_pointwise(_dense(a), _dense(b), bias, "none", [], "")


def _dense(matrix: Tensor) -> Tensor:
    """Contiguous, or the transposed view of what is: oneDNN has no quick way through other strides."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


@torch.library.register_fake("studykit::product")
def _(a, b, bias):
    return a.new_empty(a.shape[0], b.shape[0])


_product = torch.ops.studykit.product.default
"""a bᵀ + bias: (n, k), (m, k) and (m) or None to (n, m), contiguous."""
