"""VolTA: a teacher that only follows, three losses that can be left out, steps that resume and spread."""

from pathlib import Path

import pytest
import torch
from toy_training import config
from toy_volta import CROP, SIZES, STILL, Crops, built, train_volta, two_ranks
from two_ranks import run_ranks

from studykit.masking import upsample_mask
from studykit.methods import build_method
from studykit.methods.views import CLEAN, Views, corrupt, cut_patches
from studykit.metrics.collapse import CollapseSigns
from studykit.metrics.compute import count_flops
from studykit.models.vit import VisionTransformer
from studykit.training import guard
from studykit.training.loop import train
from studykit.training.records import read_records


def crops(batch=2, seed=0):
    return torch.randn(batch, 1, CROP, CROP, CROP, generator=torch.Generator().manual_seed(seed))


def drawn(method, batch=2, seed=1):
    return method.draw_masks(batch, torch.Generator().manual_seed(seed))


def terms_of(method, x=None):
    torch.manual_seed(2)
    return method(crops() if x is None else x, drawn(method))


def test_all_that_trains_gets_a_gradient_and_the_teacher_none():
    method = built()
    sum(terms_of(method).values()).backward()
    trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert not [n for n, p in trained.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert {n.partition(".")[0] for n, p in method.named_parameters() if not p.requires_grad} == {"teacher"}
    assert all(p.grad is None for p in method.teacher.parameters())


def test_the_teacher_is_a_copy_that_follows_and_no_alias():
    method = built()
    mine, theirs = (m.encoder.patch_embedding.weight for m in (method.model, method.teacher["model"]))
    assert torch.equal(mine, theirs) and mine.data_ptr() != theirs.data_ptr()
    before = theirs.clone()
    with torch.no_grad():
        mine.add_(1.0)
    assert torch.equal(theirs, before)
    method.begin_step(0, 100)
    assert torch.equal(theirs, before), "there was no step yet"
    method.begin_step(1, 100)
    momentum = 1 - 1 / 3
    torch.testing.assert_close(theirs, before + (1 - momentum), atol=1e-3, rtol=0)
    moved = theirs.clone()
    method.begin_step(100, 100)
    torch.testing.assert_close(theirs, moved), "at the end it stands still"


def test_schedules_go_by_the_step():
    method = built()
    seen = []
    for step in (0, 1, 2, 15, 30, 99):
        method.begin_step(step, 100)
        seen.append((round(method.teacher_temperature.item(), 4), method.class_head.live.item()))
    assert seen == [(0.04, 0), (0.041, 0), (0.042, 1), (0.055, 1), (0.07, 1), (0.07, 1)]


def test_frozen_prototypes_have_a_gradient_of_zero_and_the_rest_learns():
    method = built()
    method.begin_step(0, 100)
    sum(terms_of(method).values()).backward()
    for head in (method.class_head, method.patch_head):
        assert head.prototypes.grad.eq(0).all() and head.mlp[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("left_out", ["class", "patch", "paint"])
def test_each_loss_can_be_left_out_and_the_others_stay(left_out):
    method = built(**{f"{left_out}_weight": 0.0})
    terms = terms_of(method)
    assert set(terms) == {"class", "patch", "paint"} - {left_out} == set(method.terms)
    sum(terms.values()).backward()
    assert not [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]


def test_painting_alone_has_no_teacher_and_costs_what_the_student_costs():
    method = built(class_weight=0.0, patch_weight=0.0)
    assert {name.partition(".")[0] for name in method.state_dict()} == {"model", "paint_head"}
    method.begin_step(1, 10)
    assert set(terms_of(method)) == {"paint"}
    read, shapes = VisionTransformer.read, []

    def noting(model, patches, grid):
        shapes.append((model is method.model, *patches.shape[:2]))
        return read(model, patches, grid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VisionTransformer, "read", noting)
        terms_of(method)
        assert shapes == [(True, 4, 27), (True, 4, 8)]
        for left_out in ("class", "patch"):
            method = built(**{f"{left_out}_weight": 0.0, "paint_weight": 0.0})
            shapes.clear()
            terms_of(method)
            assert shapes == [(False, 4, 27), (True, 4, 27), (True, 4, 8)]


def test_the_spread_term_is_added_and_scales_and_leaves_the_others_alone():
    plain, spread = terms_of(built()), terms_of(built(spread_weight=0.5))
    assert set(spread) - set(plain) == {"spread"}
    for name, term in plain.items():
        assert torch.equal(term, spread[name])
    doubled = terms_of(built(spread_weight=1.0))["spread"]
    assert torch.allclose(2 * spread["spread"], doubled)
    with pytest.raises(ValueError, match="it needs a class_weight"):
        built(class_weight=0.0, spread_weight=0.1)


def test_weights_scale_their_losses():
    one, half = terms_of(built()), terms_of(built(patch_weight=0.5))
    torch.testing.assert_close(half["patch"], 0.5 * one["patch"])
    torch.testing.assert_close(half["class"], one["class"])


def test_painting_is_scored_where_something_was_replaced_and_nowhere_else():
    method = built(class_weight=0.0, patch_weight=0.0, local_views=0).eval()
    views = method._views(drawn(method))[0][0]
    clean = cut_patches(crops(), views, method.view, method.patch_size)
    kinds = views.corruption.transpose(0, 1).flatten(0, 1)
    seen, _ = corrupt(clean, kinds, method.replaced[method.view], fixed=True)
    error = (method.paint_head(method.model.read(seen, method.view)[1]) - clean).abs()
    torch.testing.assert_close(terms_of(method)["paint"], error[kinds != CLEAN].mean())


def test_of_a_student_that_sees_what_its_teacher_sees_the_patch_loss_is_the_teachers_entropy():
    """Both views are one here, and clean: every token meets itself alone."""
    method = built(local_views=0, student_temperature=0.04)
    x, views = crops(), method._views(drawn(method))[0][0]
    still = Views(*(torch.zeros_like(part) for part in views))
    clean = cut_patches(x, still, method.view, method.patch_size)
    entropy = torch.special.entr(method._told(clean, 2)["patch"]).sum(-1).mean()
    assert method(x, still.pack())["patch"] > entropy
    method.replaced[method.view] = (0, 0)
    torch.testing.assert_close(method(x, still.pack())["patch"], entropy)


def test_reconstruction_keeps_what_is_visible_and_does_not_see_the_rest():
    method = built().eval()
    x = crops()
    mask = method.fixed_masks(2, CROP, torch.Generator().manual_seed(3))
    hidden = upsample_mask(mask, method.patch_size)
    painted = method.reconstruct(x, mask)
    assert torch.equal(painted[~hidden], x[~hidden])
    assert torch.equal(method.reconstruct(torch.where(hidden, 9.0, x), mask)[hidden], painted[hidden])
    with pytest.raises(ValueError, match="paints nothing"):
        built(paint_weight=0.0).reconstruct(x, mask)


def test_under_bfloat16_autocast_terms_stay_in_float32():
    exact, method = terms_of(built()), built()
    with torch.autocast("cpu", torch.bfloat16):
        terms = terms_of(method)
    sum(terms.values()).backward()
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], atol=0.1, rtol=0.05)


def test_interrupted_then_resumed_it_ends_bit_equal(tmp_path: Path):
    whole = train_volta(tmp_path / "whole", config(steps=6, lr=1e-3))
    train_volta(tmp_path / "parts", config(steps=6, lr=1e-3), stop_at=4)
    resumed = train_volta(tmp_path / "parts", config(steps=6, lr=1e-3))
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert not torch.equal(whole.teacher["model"].encoder.cls_token, built().model.encoder.cls_token)


def test_accumulated_parts_and_two_ranks_move_the_centres_as_one_batch(tmp_path: Path):
    whole = train_volta(tmp_path / "whole", config(steps=3, **STILL))
    parted = train_volta(tmp_path / "parted", config(steps=3, accumulate=2, **STILL))
    run_ranks(two_ranks, str(tmp_path))
    spread = torch.load(tmp_path / "spread.pt", weights_only=True)
    for name in ("class_centre.value", "patch_centre.value"):
        expected = whole.state_dict()[name]
        assert expected.abs().max() > 0
        for state in (parted.state_dict(), spread):
            torch.testing.assert_close(state[name], expected, rtol=1e-5, atol=1e-7)
    last = read_records(tmp_path / "whole" / "metrics.jsonl")[-1]
    assert {"train/class", "train/patch", "train/paint"} <= set(last)


def awake():
    """A network whose class tokens depend on what it sees, as those of a fresh one hardly do."""
    method = built(embed_dim=48)
    with torch.no_grad():
        for model in (method.model, method.teacher["model"]):
            for weight in (p for p in model.parameters() if p.ndim == 2):
                weight.mul_(10)
    return method


def signs_of(method):
    signs = method.eval().vital_signs(crops(batch=8))
    own = {name.removeprefix("class/"): v for name, v in signs.items() if name.startswith("class/")}
    found = CollapseSigns(**own)
    assert signs == found.records("class")
    return found


def test_vital_signs_tell_both_ends_of_collapse():
    assert signs_of(awake()).collapsed == ""
    constant = awake()
    torch.nn.init.zeros_(constant.model.encoder.patch_embedding.weight)
    assert signs_of(constant).collapsed == "constant"
    uniform = awake()
    for head in (uniform.class_head, uniform.teacher["class_head"]):
        torch.nn.init.ones_(head.prototypes)
    assert signs_of(uniform).collapsed == "uniform"


@pytest.mark.parametrize("end", ["constant", "uniform"])
def test_a_training_that_ends_collapsed_is_told_by_its_own_signs(tmp_path: Path, monkeypatch, end):
    monkeypatch.setattr(guard, "JUDGED_FROM", 3)
    method = awake()
    if end == "constant":
        torch.nn.init.zeros_(method.model.encoder.patch_embedding.weight)
    else:
        torch.nn.init.ones_(method.class_head.prototypes)
        torch.nn.init.ones_(method.teacher["class_head"].prototypes)
    held_out = crops(batch=8)
    arguments = {"folder": tmp_path, "seed": 3, "device": "cpu"}
    settings = config(steps=3, **STILL)
    ended = train(method, Crops(8), settings, evaluate=lambda m: m.vital_signs(held_out), **arguments)
    assert ended.state == "collapsed" and end in ended.message


def test_there_are_no_signs_without_a_class_loss_or_of_two_crops():
    assert built(class_weight=0.0).vital_signs(crops(batch=6)) == built().vital_signs(crops()) == {}


def test_operations_are_counted_without_computing_them():
    """The teacher reads two views forward, the student two and the local ones, forward and backward."""

    def operations(backward, **options):
        method = built(**options)
        counted = count_flops(method, (1, 1, CROP, CROP, CROP), backward=backward, mask=drawn(method, 1))
        return counted.total

    alone = operations(False, local_views=0)
    assert operations(False) > alone
    assert alone < operations(True, local_views=0) < 3 * alone, "the teacher is not differentiated"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"img_size \(24\) must be .* no view may be larger than the crop"):
        built(img_size=24)
    with pytest.raises(ValueError, match="must not be negative nor all 0"):
        built(class_weight=0, patch_weight=0, paint_weight=0)
    with pytest.raises(ValueError, match="too small to mask"):
        built(local_size=4)
    with pytest.raises(ValueError, match=r"views are cut from crops of 16³ voxels, got \(8, 8, 8\)"):
        method = built()
        method(torch.zeros(2, 1, 8, 8, 8), drawn(method))
    with pytest.raises(ValueError, match="takes no depht"):
        build_method("volta", **SIZES, depht=3)


def test_batches_are_the_crops_of_the_test():
    assert Crops(4).draw(torch.Generator().manual_seed(0)).shape == (4, 1, CROP, CROP, CROP)
