"""What segmentation, detection and masked pre-training ask of an architecture."""

from typing import ClassVar

from torch import Tensor, nn


class EncoderDecoder(nn.Module):
    """An encoder to maps of several resolutions, a decoder from them, and a head.

    A subclass sets the attributes. Pre-training takes over ``encoder`` alone, so weights of it go by the
    same names from any method to any other.

    Attributes:
        encoder: (B, C, D, H, W) to maps (B, C_i, D / s_i, H / s_i, W / s_i), fine to coarse.
        sparse: whether the encoder also takes ``visible`` and then computes on visible patches alone: bool
            (B, d, h, w) on the grid of its coarsest map, or its packing
            (:class:`~studykit.layers.packed_patches.PackedPatches`).
        decoder: the list of maps to what the head reads.
        head: to class scores.
        channels: C_i.
        strides: s_i along D, H, W.
    """

    sparse: ClassVar[bool] = False
    encoder: nn.Module
    decoder: nn.Module
    head: nn.Module
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int, int], ...]

    def drop_decoder(self) -> None:
        """Drop decoder and head, for methods that have others of their own."""
        self.decoder, self.head = nn.Identity(), nn.Identity()

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps of the whole volume (B, C, D, H, W), fine to coarse."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to class scores (B, num_classes, D, H, W)."""
        return self.head(self.decoder(self.encode(x)))
