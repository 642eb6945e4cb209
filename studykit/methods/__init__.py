"""Methods, one file each: model + masking + loss, giving named loss terms.

:mod:`studykit.methods.method` says what every one of them keeps to.
"""

from collections.abc import Mapping
from typing import Any

from studykit.losses import LOSSES
from studykit.methods.classification import Classifier
from studykit.methods.detection import Detector
from studykit.methods.masked_reconstruction import BertsWin, MaskedAutoencoder
from studykit.methods.masked_volume import MaskedVolume
from studykit.methods.method import Method
from studykit.methods.mim import Mim
from studykit.methods.simclr import SimClr
from studykit.methods.spark import Spark
from studykit.methods.supervised import Supervised
from studykit.methods.volta import Volta
from studykit.models import MODELS

METHODS: dict[str, type[Method]] = {
    "mae": MaskedAutoencoder,
    "bertswin": BertsWin,
    "supervised": Supervised,
    "masked-volume": MaskedVolume,
    "spark": Spark,
    "mim": Mim,
    "volta": Volta,
    "simclr": SimClr,
    "detection": Detector,
    "classification": Classifier,
}


def method_versions(name: str, options: Mapping[str, Any]) -> dict[str, int]:
    """Versions of the code that decides what ``build_method(name, **options)`` computes, without building it.

    Raises:
        ValueError: unknown method, model or loss; the message lists the known ones.
    """
    method = _known(name)
    model = options.get("model", method.architecture)
    if model not in MODELS:
        raise ValueError(f"Unknown model {model!r}. Known: {', '.join(sorted(MODELS))}.")
    versions = {"method": method.version, "model": MODELS[model].version}
    if not method.takes_loss:
        return versions
    loss = options.get("loss", "l2")
    if loss not in LOSSES:
        raise ValueError(f"Unknown loss {loss!r}. Known: {', '.join(sorted(LOSSES))}.")
    return versions | {"loss": LOSSES[loss].version}


def task_of(name: str) -> str:
    """What a method is trained for, see :mod:`studykit.tasks`.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    return _known(name).task


def build_method(name: str, **overrides: Any) -> Method:
    """Method ``name`` with its paper's settings, but for ``overrides`` (the model's sizes among them).

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    return _known(name).from_options(**overrides)


def _known(name: str) -> type[Method]:
    if name not in METHODS:
        raise ValueError(f"Unknown method {name!r}. Known: {', '.join(sorted(METHODS))}.")
    return METHODS[name]
