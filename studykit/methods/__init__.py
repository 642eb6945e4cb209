"""Methods, one file each: model + masking + loss, giving named loss terms."""

from typing import Any

from torch import nn

from studykit.methods.bertswin import BertsWin
from studykit.methods.masked_autoencoder import MaskedAutoencoder

METHODS: dict[str, type[nn.Module]] = {"mae": MaskedAutoencoder, "bertswin": BertsWin}


def build_method(name: str, **overrides: Any) -> nn.Module:
    """Method ``name`` with its paper's settings, but for ``overrides`` (the model's sizes among them).

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    if name not in METHODS:
        raise ValueError(f"Unknown method {name!r}. Known: {', '.join(sorted(METHODS))}.")
    return METHODS[name](**overrides)
