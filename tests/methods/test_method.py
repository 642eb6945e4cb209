"""Every method keeps the contract that the training, the tasks and a run's identity build on."""

import inspect

import pytest
import torch

from studykit.losses import LOSSES
from studykit.methods import METHODS, build_method
from studykit.methods.masked_modelling import MaskedModelling
from studykit.methods.method import Method
from studykit.models import MODELS
from studykit.tasks import TASKS
from studykit.training.step import Trainable

UNET = {"model": "unet", "channels": (4, 6, 8), "img_size": 16}
RESIDUAL = {"model": "residual-unet", "widths": (4, 6, 8), "stem_stride": 1, "depths": 1, "img_size": 16}
CASES = {
    "mae": {
        "img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_dim": 48,
        "decoder_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2, "decoder_mlp_dim": 24, "loss": "mvc",
        "loss_options": {"sub_patch": 4},
    },
    "bertswin": {
        "img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 2, "window_size": 2,
        "decoder_widths": (16, 8, 4),
    },
    "mae, vit-autoencoder": {
        "model": "vit-autoencoder", "img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1,
        "num_heads": 2, "decoder_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2,
    },
    "supervised": {**UNET, "num_classes": 3},
    "masked-volume": {**UNET, "mask_block": 4, "loss": "l1"},
    "spark": {**RESIDUAL, "decoder_width": 8},
    "mim": {**RESIDUAL, "decoder_width": 8, "alignment": 0.1},
    "mim, vessel": {**RESIDUAL, "decoder_width": 8, "masking": "vessel"},
    "mim, three-level": {**RESIDUAL, "decoder_width": 8, "masking": "three-level"},
    "volta": {
        "img_size": 12, "crop_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2,
        "local_views": 2, "prototypes": 16, "head_dim": 8,
    },
    "simclr": {
        "img_size": 12, "crop_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2,
    },
    "detection": RESIDUAL,
    "classification": {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2},
}  # fmt: skip
DRAWN = {"volta", "simclr"}
"""What they draw is more than masks."""
PAINTING = [
    name for name in CASES
    if issubclass(kind := METHODS[name.partition(",")[0]], MaskedModelling) and kind.paints
]  # fmt: skip


@pytest.fixture(params=CASES)
def name(request):
    return request.param


def built(name):
    torch.manual_seed(0)
    return build_method(name.partition(",")[0], **CASES[name])


def batch(name, method, count=3):
    size = 32 if "three-level" in name else 16
    images = torch.randn(count, method.batch_channels, size, size, size, generator=generator())
    images[:, 1:] = (images[:, 1:] > 1).float()
    return images


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def test_every_method_is_held_here():
    assert {name.partition(",")[0] for name in CASES} == set(METHODS)


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_the_class_says_what_a_run_is_made_of(kind):
    assert issubclass(kind, Method) and isinstance(kind.version, int)
    assert kind.task in TASKS and kind.architecture in MODELS
    assert (kind.task == "reconstruction") == issubclass(kind, MaskedModelling)
    asked = inspect.signature(Trainable.draw_masks).parameters
    assert list(inspect.signature(kind.draw_masks).parameters) == list(asked)


def test_terms_are_named_beforehand(name):
    method = built(name)
    given = method.loss_terms(batch(name, method), generator())
    assert set(given) == set(method.terms)
    assert all(term.ndim == 0 and term.isfinite() for term in given.values())


def test_a_loss_by_name_decides_the_terms():
    method = built("mae")
    assert METHODS["mae"].takes_loss and method.terms == LOSSES["mvc"].terms


def test_masks_have_a_row_each_and_the_generator_moves_on_alike(name):
    method = built(name)
    volumes, ends = batch(name, method), []
    whole = method.draw_masks(3, generator(), volumes)
    assert whole.dtype == (torch.int64 if name in DRAWN else torch.bool) and len(whole) == 3
    for given, rows in ((volumes, slice(0, 3)), (volumes[1:2], slice(1, 2)), (None, slice(0, 2))):
        moved = generator()
        part = method.draw_masks(3, moved, given, rows)
        assert len(part) == rows.stop - rows.start
        assert given is None or torch.equal(part, whole[rows])
        ends.append(moved.get_state())
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_a_call_is_all_that_the_seed_left_open(name):
    method = built(name).eval()
    volumes = batch(name, method)
    masks = method.draw_masks(3, generator(), volumes)
    drawn = method.loss_terms(volumes, generator())
    assert {n: t.item() for n, t in method(volumes, masks).items()} == {n: t.item() for n, t in drawn.items()}


@pytest.mark.parametrize("name", PAINTING)
def test_what_reconstructs_paints_the_fixed_masks_of_whole_crops(name):
    method = built(name)
    volumes = batch(name, method)[:, :1]
    masks = method.fixed_masks(3, volumes.shape[-1], generator())
    assert masks.ndim == 4 and torch.equal(masks, method.fixed_masks(3, volumes.shape[-1], generator()))
    restored = method.reconstruct(volumes, masks)
    assert restored.shape == volumes.shape and not restored.requires_grad
    changed = (restored != volumes).float().mean().item()
    assert changed == pytest.approx(masks.float().mean().item(), abs=0.02)


def test_encode_reads_the_image_alone(name):
    method = built(name).eval()
    image = batch(name, method)[:, :1, :16, :16, :16]
    found = method.encode(image)
    assert all(torch.is_tensor(each) and len(each) == 3 for each in found) or found.ndim == 3
