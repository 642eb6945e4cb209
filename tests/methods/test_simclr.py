"""SimCLR: how its views differ, what it contrasts, that it learns, and what it refuses."""

from pathlib import Path

import pytest
import torch
from toy_simclr import built, contrast_a_half, tokens
from two_ranks import run_ranks

from studykit.losses.contrastive import nt_xent
from studykit.methods import METHODS
from studykit.methods.simclr import SimClr, tinted


def crops(batch=3, seed=0, size=16):
    coarse = torch.randn(batch, 1, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size,) * 3, mode="trilinear")


def drawn(method, batch=3, seed=1):
    return method.draw_masks(batch, torch.Generator().manual_seed(seed))


def test_it_is_registered():
    assert METHODS["simclr"] is SimClr and not SimClr.paints


def test_the_loss_contrasts_the_projected_class_tokens_of_both_views():
    method, x = built().eval(), crops()
    mask = drawn(method)
    views = method._views(x, mask)
    assert views.shape == (6, 27, 64)
    first, second = method.projector(method.model.read(views, (3, 3, 3))[0]).split(3)
    torch.testing.assert_close(method(x, mask)["contrast"], nt_xent(first, second, 0.5))
    warm = built(temperature=1.0).eval()
    torch.testing.assert_close(warm(x, mask)["contrast"], nt_xent(first, second, 1.0))


def test_small_differences_between_crops_that_look_alike_reach_the_loss():
    method = built()
    common, own = torch.randn(24), 0.01 * torch.randn(8, 24)
    alike = (common + own).repeat(2, 1)
    unprojected = nt_xent(*alike.split(8))
    assert unprojected > 2.7, "of cosines near 1, nothing can be told"
    assert method.contrast(alike) < unprojected - 0.3


def test_two_ranks_give_loss_and_gradients_of_all_crops(tmp_path: Path):
    run_ranks(contrast_a_half, str(tmp_path))
    found = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    method, whole = built(), tokens().requires_grad_()
    loss = method.contrast(whole.flatten(0, 1))
    loss.backward()
    taught = torch.cat([part["tokens"] for part in found], dim=1) / 2
    torch.testing.assert_close(taught, whole.grad)
    for part in found:
        torch.testing.assert_close(part["loss"], loss.detach())
        torch.testing.assert_close(part["state"], method.projector.state_dict())
        torch.testing.assert_close(
            part["weights"], {n: p.grad for n, p in method.projector.named_parameters()}
        )


def test_every_weight_learns():
    method = built()
    method(crops(), drawn(method))["contrast"].backward()
    assert not [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_as_many_patches_as_asked_are_noise_that_training_draws_anew():
    method, x = built(hidden=0.25), crops()
    mask = drawn(method)
    one, other = (method._views(x, mask) for _ in range(2))
    changed = (one != other).any(dim=2)
    assert changed.sum(dim=1).tolist() == [round(0.25 * 27)] * 6
    method.eval()
    assert torch.equal(method._views(x, mask), method._views(x, mask))


def test_tints_change_what_they_say_and_nothing_in_the_middle():
    x = crops(2, size=8)
    still = torch.full((2, 3), 0.5)
    torch.testing.assert_close(tinted(x, still), x)
    gain, shift, curve = (still.clone() for _ in range(3))
    gain[:, 0], shift[:, 1], curve[:, 2] = 1.0, 0.0, 1.0
    axes = (1, 2, 3, 4)
    torch.testing.assert_close(tinted(x, gain).std(axes), 1.25 * x.std(axes))
    torch.testing.assert_close(tinted(x, gain).mean(axes), x.mean(axes))
    torch.testing.assert_close(tinted(x, shift), x - 0.25)
    bent = tinted(x, curve)
    torch.testing.assert_close(bent.amin(axes), x.amin(axes))
    torch.testing.assert_close(bent.amax(axes), x.amax(axes))
    assert (bent.mean(axes) < x.mean(axes)).all()
    assert tinted(torch.ones(1, 1, 2, 2, 2), curve[:1]).isfinite().all()


def striped(batch=8, size=16):
    """Crops that differ by the width of their stripes, which no flip or tint changes."""
    place = (torch.arange(size) + 0.5) * torch.pi / size
    waves = torch.stack([torch.cos((2 * row + 1) * place) for row in range(batch)])[:, None]
    return waves[..., None, None] + waves[:, :, None, :, None] + waves[:, :, None, None]


def test_it_learns_to_find_a_crops_other_view():
    method = built(embed_dim=48, hidden=0.1)
    with torch.no_grad():  # a fresh transformer's class token hardly depends on what it sees
        for weight in (p for p in method.model.parameters() if p.ndim == 2):
            weight.mul_(3)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3)
    x, held = striped(), drawn(method, 8, seed=1000)
    before = method.eval()(x, held)["contrast"].item()
    method.train()
    for step in range(120):
        optimizer.zero_grad()
        method(x, drawn(method, 8, seed=step))["contrast"].backward()
        optimizer.step()
    assert method.eval()(x, held)["contrast"].item() < before - 0.5


def test_vital_signs_tell_that_all_crops_look_alike():
    method = built()
    torch.nn.init.zeros_(method.model.encoder.patch_embedding.weight)
    assert method.eval().vital_signs(crops(8))["collapsed/constant"] == 1
    assert method.vital_signs(crops(2)) == {}


def test_under_bfloat16_autocast_the_loss_stays_in_float32():
    method, x = built().eval(), crops()
    with torch.autocast("cpu", torch.bfloat16):
        loss = method(x, drawn(method))["contrast"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, method(x, drawn(method))["contrast"], atol=0.05, rtol=0)


def test_what_cannot_be_is_refused():
    method = built()
    with pytest.raises(ValueError, match="takes two at least at once, got 1"):
        method(crops(1), drawn(method, 1))
    with pytest.raises(ValueError, match=r"views are cut from crops of 16³ voxels, got \(8, 8, 8\)"):
        method(crops(2, size=8), drawn(method, 2))
    with pytest.raises(ValueError, match=r"crop_size \(8\) must be .* no smaller than img_size \(12\)"):
        built(crop_size=8)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        built(hidden=0.0)
    with pytest.raises(ValueError, match="paints nothing"):
        method.reconstruct(crops(), torch.zeros(3, 4, 4, 4, dtype=torch.bool))
