"""The network that an encoder is fine-tuned in: its own architecture, or the one that shares its encoder."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studykit.methods import METHODS
from studykit.models import MODELS
from studykit.pretraining import network_options
from studykit.registry import check_known
from studykit.training.checkpoint import load_weights

TRANSFORMERS = ("vit", "vit-autoencoder", "vit-classifier", "unetr")
"""Models around the encoder of :mod:`studykit.models.vit`: weights go from any of them to any other."""

OF_TRANSFORMERS = {"segmentation": "unetr", "classification": "vit-classifier"}
OF_THE_REST = ("pool", "feature_size", "decoder_dim", "decoder_depth", "decoder_num_heads")
"""Their options of what is not the encoder."""


def network_of(weights: Path | None, task: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """``model``, ``img_size`` and sizes of the network of a task, for :func:`studykit.methods.build_method`.

    Args:
        weights: a file that says which method it is of, None for none.
        task: what it is for.
        named: options that go before what the file says.

    Raises:
        ValueError: an unknown model (the message lists the known ones), no crop size, a file of another kind,
            or a transformer's encoder for detection, which has no maps.
        CheckpointError: the file is no weights file.
    """
    given = {} if weights is None else _options_of(weights, named.get("model"))
    model = named.get("model", _for_task(given.get("model", ""), task))
    check_known("model", model, MODELS)
    if task == "detection" and model in TRANSFORMERS:
        raise ValueError(f"a detector reads maps of several resolutions, which {model} does not have")
    accepted = set(inspect.signature(MODELS[model]).parameters) - {"num_classes"}
    if model != given.get("model"):
        accepted -= set(OF_THE_REST)
    shared = {name: value for name, value in given.items() if name in accepted}
    options = shared | dict(named) | {"model": model}
    if "img_size" not in options:
        raise ValueError("name the size of a crop (crop_size): there is no encoder that says it")
    return options


def _options_of(weights: Path, model: str | None) -> dict[str, Any]:
    """``model`` and the options of the method that a file of weights is of; none where a model is named."""
    _, told = load_weights(weights)
    method = told.get("method", {})
    if not isinstance(method, dict) or method.get("name") not in METHODS:
        if model:
            return {}
        raise ValueError(f"{weights} does not say which method its weights are of: name the model")
    return network_options(method)


def _for_task(model: str, task: str) -> str:
    return OF_TRANSFORMERS.get(task, model) if model in TRANSFORMERS else model
