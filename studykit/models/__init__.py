"""Architectures, one file each, built by name."""

from typing import Any

from torch import nn

from studykit.models.bertswin import BertsWinNet
from studykit.models.cnn3d import Cnn3d
from studykit.models.mae_vit import MaskedAutoencoderViT
from studykit.models.nnformer import NnFormer
from studykit.models.residual_unet import ResidualUNet
from studykit.models.swin_classifier import SwinClassifier
from studykit.models.swin_unetr import SwinUnetr
from studykit.models.unet import UNet
from studykit.models.unet_transformer import UNetTransformer
from studykit.models.unetr import UNETR
from studykit.models.vit import VisionTransformer
from studykit.models.vit_autoencoder import VitAutoencoder
from studykit.models.vit_classifier import VitClassifier
from studykit.models.wave_unet import WaveUNet
from studykit.models.waveformer import WaveFormer
from studykit.registry import build

MODELS: dict[str, type[nn.Module]] = {
    "mae-vit": MaskedAutoencoderViT,
    "bertswin": BertsWinNet,
    "vit": VisionTransformer,
    "vit-autoencoder": VitAutoencoder,
    "vit-classifier": VitClassifier,
    "swin-classifier": SwinClassifier,
    "unetr": UNETR,
    "nnformer": NnFormer,
    "unet": UNet,
    "swin-unetr": SwinUnetr,
    "unet-transformer": UNetTransformer,
    "cnn3d": Cnn3d,
    "residual-unet": ResidualUNet,
    "waveformer": WaveFormer,
    "wave-unet": WaveUNet,
}


def build_model(name: str, **overrides: Any) -> nn.Module:
    """Model ``name`` with its paper's sizes, but for ``overrides``.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    return build("model", MODELS, name, overrides)
