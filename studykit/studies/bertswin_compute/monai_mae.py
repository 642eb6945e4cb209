"""The masked autoencoder as MONAI releases it, at the sizes of the BertsWin paper's baseline.

Its forward pass takes the volume alone, draws its own mask, and returns (prediction, mask); attention keeps
its whole score matrix. Ours, in :mod:`studykit.models.mae_vit`, computes the same function from the same
weights and takes the mask as an argument.
"""

import warnings

from torch import nn

from studykit.imports import without_url_grammar


def monai_autoencoder(img_size: int = 224, patch_size: int = 16) -> nn.Module:
    """MONAI's ``MaskedAutoEncoderViT``: 768 wide, 12 blocks, MLP 3072, decoder 384 wide with 4 blocks.

    Args:
        img_size: voxels an axis of the cubic volume of one channel.
        patch_size: voxels an axis of a patch.
    """
    with without_url_grammar():
        from monai.networks.nets import MaskedAutoEncoderViT

    with warnings.catch_warnings():
        # MONAI's position table calls torch.meshgrid without the argument that torch will ask for one day.
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        return MaskedAutoEncoderViT(in_channels=1, img_size=img_size, patch_size=patch_size, mlp_dim=3072)
