"""An encoder of this kit for other tools: a checkpoint that nnU-Net fine-tunes from."""

from pathlib import Path

import torch

from studykit import atomic
from studykit.finetuning.network import network_of
from studykit.models.nnunet import nnunet_checkpoint
from studykit.pretraining import read_card, weights_file
from studykit.training.checkpoint import load_weights


def export_nnunet(encoder: str | Path, out: str | Path) -> str:
    """Write ``out`` for nnU-Net's ``-pc`` from weights with their card; gives what is to be done with it.

    Raises:
        FileNotFoundError: no weights, or no card beside them.
        ValueError: an encoder that nnU-Net has no place for, see :mod:`studykit.models.nnunet`.
    """
    file, card = weights_file(encoder), read_card(encoder)
    options = network_of(file, "segmentation", {})
    data = card["data"]
    checkpoint = nnunet_checkpoint(
        load_weights(file)[0],
        options,
        float(data["spacing_mm"]),
        [text for text in (data["citation"],) if text],
    )
    with atomic.replace_into(out) as temporary:
        torch.save(checkpoint, temporary)
    return f"{out}: nnUNetv2_preprocess_like_nnssl -d DATASET -n studykit -pc {out} -am like_pretrained"
