"""Any encoder of maps with a linear classifier on the mean of its coarsest map."""

from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.models.encoder_decoder import EncoderDecoder
from studykit.models.vit import init_linear


class EncoderClassifier(nn.Module):
    """Class scores of a whole crop, by the encoder of an :class:`EncoderDecoder` without its decoder.

    The encoder goes by its own names, so that weights go from any method to it.

    Args:
        network: gives the encoder; its decoder and head are not kept.
        num_classes: channels of the output, two or more.

    Raises:
        ValueError: fewer than two classes.
    """

    def __init__(self, network: EncoderDecoder, num_classes: int = 2) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be two or more, got {num_classes}")
        self.encoder = network.encoder
        self.head = Linear(network.channels[-1], num_classes)
        init_linear(self.head)

    def encode(self, volume: Tensor) -> Tensor:
        """Cells of the coarsest map as tokens: (B, C, D, H, W) to (B, T, C')."""
        return self.encoder(volume)[-1].flatten(2).transpose(1, 2)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) to logits (B, num_classes)."""
        return self.head(self.encode(volume).mean(dim=1))
