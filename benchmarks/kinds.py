"""Kinds of hardware that timings are of: a GPU, or the vector instructions that torch uses of a processor."""

import torch

MASKS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}
"""Environment in which torch, oneDNN and MKL leave what a processor has beyond a kind alone."""


def kind() -> str:
    """What this process computes on: ``cuda``, ``avx512``, ``avx2`` or what else torch calls it."""
    if torch.cuda.is_available():
        return "cuda"
    return torch.backends.cpu.get_cpu_capability().lower()


def kinds() -> dict[str, dict[str, str]]:
    """Kinds that this machine has, each with the environment that a process of it needs."""
    here = kind()
    return {here: {}} | (MASKS if here == "avx512" else {})
