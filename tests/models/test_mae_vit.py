"""Our masked autoencoder against MONAI's, with the same weights and the same mask."""

import pytest
import torch

from studykit.layers.patches import split_mask
from studykit.layers.positions import sincos_positions
from studykit.masking import random_patch_mask
from studykit.models import build_model

SIZES = {
    "img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_dim": 48,
    "decoder_dim": 12, "decoder_depth": 2, "decoder_num_heads": 3, "decoder_mlp_dim": 20,
}  # fmt: skip


@pytest.fixture
def pair():
    from monai.networks.nets import MaskedAutoEncoderViT

    torch.manual_seed(0)
    ours = build_model("mae-vit", **SIZES)
    theirs = MaskedAutoEncoderViT(
        1, 16, 4, hidden_size=24, mlp_dim=48, num_layers=2, num_heads=2,
        decoder_hidden_size=12, decoder_mlp_dim=20, decoder_num_layers=2, decoder_num_heads=3,
    )  # fmt: skip
    missing, unknown = theirs.load_state_dict(monai_state(ours), strict=False)
    assert not unknown
    assert all("norm_cross_attn" in name for name in missing), "MONAI's unused cross-attention norms only"
    return ours.eval(), theirs.eval()


def monai_state(ours):
    """Our weights under MONAI's names."""
    state = ours.state_dict()
    rename = {
        "patch_embedding.": "patch_embedding.patch_embeddings.",
        "norm.": "blocks.2.",
        "decoder_norm.": "decoder_blocks.2.",
        "decoder_embedding.": "decoder_embed.",
        "mask_token": "mask_tokens",
        "head.": "decoder_pred.",
    }
    renamed = {}
    for name, value in state.items():
        new = next((b + name[len(a) :] for a, b in rename.items() if name.startswith(a)), name)
        new = (
            new.replace("attn.proj", "attn.out_proj")
            .replace("mlp.0", "mlp.linear1")
            .replace("mlp.2", "mlp.linear2")
        )
        renamed[new] = value
    weight = state["patch_embedding.weight"]
    renamed["patch_embedding.patch_embeddings.weight"] = weight.view(24, 1, 4, 4, 4)
    renamed["patch_embedding.position_embeddings"] = ours.positions[None]
    renamed["decoder_pos_embedding"] = ours.decoder_positions[None]
    return renamed


def test_same_prediction_and_same_gradients_as_monai(pair):
    ours, theirs = pair
    x = torch.randn(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    mask = random_patch_mask((4, 4, 4), 0.75, 3, torch.Generator().manual_seed(2))
    visible, _ = split_mask(mask)

    def fixed_masking(tokens, masking_ratio=None):
        kept = tokens.gather(1, visible.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        return kept, visible, mask.flatten(1).int()

    theirs._masking = fixed_masking
    mine = ours(x, mask).flatten(2)
    reference, _ = theirs(x)
    torch.testing.assert_close(mine, reference, atol=2e-6, rtol=1e-5)
    mine.square().mean().backward()
    reference.square().mean().backward()
    for a, b in (
        (ours.blocks[0].attn.qkv, theirs.blocks[0].attn.qkv),
        (ours.decoder_embedding, theirs.decoder_embed),
        (ours.blocks[1].mlp[0], theirs.blocks[1].mlp.linear1),
    ):
        torch.testing.assert_close(a.weight.grad, b.weight.grad, atol=1e-6, rtol=1e-4)


def test_positions_hold_the_same_numbers_as_monai_in_another_order():
    from monai.networks.blocks.pos_embed_utils import build_sincos_position_embedding

    ours = sincos_positions((3, 4, 5), 24)
    theirs = build_sincos_position_embedding([3, 4, 5], 24, 3)[0]
    columns = lambda table: table[:, table.double().sum(0).argsort()]  # noqa: E731
    torch.testing.assert_close(columns(ours), columns(theirs), atol=1e-6, rtol=1e-5)
    assert ours.unique(dim=0).shape[0] == 60
