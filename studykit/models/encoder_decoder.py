"""What segmentation, detection and masked pre-training ask of an architecture."""

from torch import Tensor, nn


class EncoderDecoder(nn.Module):
    """An encoder to maps of several resolutions, a decoder from them, and a head.

    A subclass sets all five attributes. Pre-training takes over ``encoder`` alone, so weights of it go by the
    same names from any method to any other.

    Attributes:
        encoder: (B, C, D, H, W) to maps (B, C_i, D / s_i, H / s_i, W / s_i), fine to coarse. One that can
            compute sparsely also takes ``visible``: bool (B, d, h, w) on the grid of its coarsest map, or its
            packing (:class:`~studykit.layers.packed_patches.PackedPatches`).
        decoder: the list of maps to what the head reads.
        head: to class scores.
        channels: C_i.
        strides: s_i along D, H, W.
    """

    encoder: nn.Module
    decoder: nn.Module
    head: nn.Module
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int, int], ...]

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps of the whole volume (B, C, D, H, W), fine to coarse."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to class scores (B, num_classes, D, H, W)."""
        return self.head(self.decoder(self.encode(x)))
