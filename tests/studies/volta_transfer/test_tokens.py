"""Attention of the class token and likeness of patches, against the layer's own output."""

import numpy as np
import pytest
import torch

from studykit.methods import build_method
from studykit.models import build_model
from studykit.studies.volta_transfer.tokens import class_attention, middle_of, token_similarity, views_shown

SIZES = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 2}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return build_model("vit", **SIZES).eval().encoder


def test_attention_weights_give_the_output_of_the_layer(encoder):
    volume = torch.randn(1, 1, 8, 12, 8, generator=torch.Generator().manual_seed(1))
    for parameter in encoder.parameters():
        parameter.data *= 3  # so that attention is not even
    weights = class_attention(encoder, volume)
    assert weights.shape == (2, 3, 2) and 0 < float(weights.sum()) < 1
    attention, seen = encoder.blocks[-1].attn, []
    encoder.blocks[-1].norm1.register_forward_hook(lambda m, i, out: seen.append(out))
    encoder(volume)
    tokens = seen[0]
    q, k, v = attention.qkv(tokens).view(1, 13, 3, 2, 6).permute(2, 0, 3, 1, 4)
    full = (q @ k.transpose(-2, -1) / 6**0.5).softmax(-1)
    torch.testing.assert_close(full[0, :, 0, 1:].mean(0).view(2, 3, 2), weights)
    torch.testing.assert_close(
        attention.proj((full @ v).transpose(1, 2).reshape(1, 13, 12)), attention(tokens)
    )


def test_a_patch_resembles_itself_most_and_its_copy_as_much(encoder):
    volume = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(2))
    found = token_similarity(encoder, volume, (0, 1, 1))
    assert found.shape == (2, 2, 2)
    assert float(found[0, 1, 1]) == pytest.approx(1) and float(found.max()) == pytest.approx(1)
    assert float(found.min()) < 0


def test_the_teacher_sees_clean_views_and_the_student_the_same_with_replaced_patches():
    torch.manual_seed(0)
    sizes = {"img_size": 12, "crop_size": 16, "local_views": 2, "prototypes": 16, "head_dim": 8}
    method = build_method("volta", patch_size=4, embed_dim=24, depth=1, num_heads=2, **sizes).eval()
    crops = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    shown, again = views_shown(method, crops), views_shown(method, crops)
    assert list(shown) == ["teacher", "student", "student, local"]
    assert [view.shape for view in shown["teacher"].values()] == [(12, 12, 12)] * 2
    assert len(shown["student, local"]) == 2
    for name, view in shown["teacher"].items():
        replaced = view != shown["student"][name]
        assert 0 < replaced.mean() < 1 and (view == again["teacher"][name]).all()


def test_the_middle_of_a_structure_moves_with_the_crop():
    labels = np.zeros((4, 4, 6), int)
    labels[1:3, 2, 3] = 2
    assert middle_of(labels, 2, 8).tolist() == [3, 4, 4]


def test_the_middle_of_what_has_two_sides_lies_in_one_of_them():
    labels = np.zeros((9, 4, 4), int)
    labels[:2, 1, 1], labels[6:, 1, 1] = 2, 2
    assert middle_of(labels, 2, 9).tolist() == [7, 3, 3]
