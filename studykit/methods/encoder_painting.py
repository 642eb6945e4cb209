"""An encoder that sees what is visible, and a light decoder that paints the rest: what SparK and MiM share.

Patches are the cells of the encoder's coarsest map. A sparse encoder computes on visible patches alone, and
the decoder puts mask tokens where its maps are empty; a dense one reads something else at hidden voxels, and
its maps are full (Tian et al. 2023, arXiv 2301.03580).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from studykit.layers.packed_patches import PackedPatches
from studykit.masking import mask_on
from studykit.methods.masked_modelling import MaskedModelling
from studykit.models.encoder_decoder import EncoderDecoder
from studykit.models.light_decoder import LightDecoder


class EncoderPainting(MaskedModelling):
    """Masked modelling by an encoder and a light decoder of its own.

    Args:
        model: its decoder and head are left out.
        sparse: whether the encoder is told what is visible.
        img_size: voxels along (D, H, W) of what the encoder sees, or one number.
        in_channels: channels of the image.
        decoder_width: channels of the decoder at the coarsest map.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        *,
        sparse: bool,
        img_size: int | Sequence[int],
        in_channels: int,
        decoder_width: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.model.drop_decoder()
        self.sparse = sparse
        self.img_size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        self.patch_size = model.strides[-1]
        self.grid = tuple(n // p for n, p in zip(self.img_size, self.patch_size, strict=True))
        self.decoder = LightDecoder(model.channels, model.strides, in_channels, decoder_width)
        self.decoder.mask_tokens.requires_grad_(sparse)

    def _paint(
        self, image: Tensor, hidden: Tensor, count: int | None = None, fill: Tensor | float = 0.0
    ) -> tuple[list[Tensor], Tensor]:
        """The encoder's maps of what is visible, and the prediction of the whole image.

        On the meta device masks have no values, and operations are counted as if everything were visible.

        Args:
            image: (B, C, D, H, W).
            hidden: bool (B, d, h, w), of any number of patches.
            count: hidden patches of each sample, where that is known.
            fill: what a dense encoder reads at hidden voxels, of a shape that broadcasts to the image.

        Returns:
            maps (B, C_i, d_i, h_i, w_i), fine to coarse, of a sparse encoder 0 at hidden sites; and
            (B, C, D, H, W).

        Raises:
            ValueError: a sparse encoder, and a mask that hides another number (not looked at on a GPU).
        """
        seen = torch.where(mask_on(hidden, image.shape[2:])[:, None], fill, image)
        if not self.sparse or hidden.is_meta:
            maps = self.model.encoder(seen)
            return maps, self.decoder(maps)
        visible = PackedPatches(~hidden, None if count is None else hidden.numel() - count * len(hidden))
        maps = self.model.encoder(seen, visible)
        return maps, self.decoder(maps, visible)
