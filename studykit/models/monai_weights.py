"""An encoder's weights in MONAI's own networks, wherever a name and its shape agree: SwinUNETR, ViT, UNETR.

    network = monai.networks.nets.ViT(in_channels=1, img_size=96, patch_size=16, classification=True)
    report = into_monai(network, load_weights("pretrained/weights.safetensors")[0])

What comes over computes the same in MONAI's ``SwinUNETR`` and, with one channel, in its ``ViT`` with a class
token (``classification=True``). Its ``UNETR`` has no class token, so there the start is near the pre-trained
function rather than equal to it.
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from studykit.layers.positions import sincos_positions
from studykit.models.monai_swin import swin_names
from studykit.training.transfer import TransferReport

ENCODER = "model.encoder."

_VIT = (  # of ours, as patterns, to MONAI's
    (r"^patch_embedding\.", "patch_embedding.patch_embeddings."),
    (r"\.attn\.proj\.", ".attn.out_proj."),
    (r"\.mlp\.0\.", ".mlp.linear1."),
    (r"\.mlp\.2\.", ".mlp.linear2."),
)
POSITIONS = "patch_embedding.position_embeddings"


def into_monai(
    network: nn.Module, weights: Mapping[str, Tensor], downsample: str = "merging"
) -> TransferReport:
    """Give a network of MONAI an encoder's weights, in place; the others keep their own start.

    Args:
        network: a ``SwinUNETR`` for an encoder of ``swin-unetr``; a ``ViT`` or ``UNETR`` for one of ``vit``.
        weights: of a method of this kit, names such as ``model.encoder.…``.
        downsample: how a ``SwinUNETR`` was built, which its weights do not say.

    Raises:
        ValueError: nothing agrees; the message shows a name of both sides.
    """
    encoder = {n.removeprefix(ENCODER): v for n, v in weights.items() if n.startswith(ENCODER)}
    own = network.state_dict()
    if any(name.startswith("swinViT.") for name in own):
        given = swin_names({f"encoder.{name}": value for name, value in encoder.items()}, downsample)
    else:
        given = _vit_names(encoder, own)
    taken = {name: v for name, v in given.items() if name in own and own[name].shape == v.shape}
    if all(name.endswith(POSITIONS) for name in taken):
        raise ValueError(
            f"nothing of the encoder ({next(iter(weights), 'empty')}, …) fits {type(network).__name__} "
            f"({next(iter(own), 'empty')}, …): build it with the encoder's sizes"
        )
    network.load_state_dict(taken, strict=False)
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    loaded = sum(sizes.get(name, 0) for name in taken)
    return TransferReport(
        loaded=tuple(taken),
        missing=tuple(name for name in own if name not in taken),
        unused=tuple(name for name in given if name not in taken),
        parameters_loaded=loaded,
        share=loaded / sum(sizes.values()),
    )


def _vit_names(encoder: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of :mod:`studykit.models.vit`'s encoder by MONAI's names, its fixed positions among them."""
    lead = "vit." if any(name.startswith("vit.") for name in own) else ""
    given = {}
    for name, value in encoder.items():
        for ours, theirs in _VIT:
            name = re.sub(ours, theirs, name)
        given[f"{lead}{name}"] = value
    embedding = f"{lead}patch_embedding.patch_embeddings."
    linear = f"{embedding}1.weight" in own  # behind a Rearrange, and with the channels last
    for end in ("weight", "bias"):
        name = f"{embedding}1.{end}" if linear else f"{embedding}{end}"
        value = given.pop(f"{embedding}{end}", None)
        if value is not None and name in own and own[name].numel() == value.numel():
            given[name] = value.reshape(own[name].shape)
    places = own.get(f"{lead}{POSITIONS}")
    if places is not None and (side := round(places.shape[1] ** (1 / 3))) ** 3 == places.shape[1]:
        given[f"{lead}{POSITIONS}"] = sincos_positions((side,) * 3, places.shape[2])[None]
    return given
