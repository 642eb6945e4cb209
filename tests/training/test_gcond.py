"""The conductor against the same told plainly, one backward pass a loss; its state, its limits, its ranks."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import toy_conductor
from conflict_oracle import projected_one_by_one
from torch import Tensor, nn
from toy_conductor import ToyTasks, conduct, conducted, micro_batches, train
from two_ranks import run_ranks

from studykit.training.conflict import arbiter_scores
from studykit.training.distributed import World
from studykit.training.gcond import ConductorConfig, GradientConductor
from studykit.training.sign_momentum import SignMomentum


def descend(parameter: nn.Parameter, **settings: object) -> GradientConductor:
    """A conductor whose step subtracts the resolved sum itself."""
    config = ConductorConfig(**{"momentum": 0.0, **settings})
    return GradientConductor(torch.optim.SGD([parameter], lr=1.0), config=config)


def feed(conductor: GradientConductor, parameter: nn.Parameter, **gradients: list[float]) -> Tensor:
    """One step on losses that have just these gradients; what was subtracted."""
    before = parameter.detach().clone()
    conductor.backward({name: parameter @ torch.tensor(g) for name, g in gradients.items()})
    conductor.step()
    return before - parameter.detach()


def sign_momentum(method: nn.Module, **settings: object) -> GradientConductor:
    optimizer = SignMomentum(method.parameters(), lr=0.01, momentum=0.0)
    return GradientConductor(optimizer, config=ConductorConfig(**settings))


def adamw(method: nn.Module, **settings: object) -> GradientConductor:
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.01, betas=(0.0, 0.95), weight_decay=0.1)
    return GradientConductor(optimizer, config=ConductorConfig(**settings))


def flat(method: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in method.parameters()])


def test_one_loss_is_sign_momentum_with_a_trust_ratio() -> None:
    conducted_one, plain = ToyTasks(), ToyTasks()
    conductor = GradientConductor(SignMomentum(conducted_one.parameters(), lr=0.01, momentum=0.0))
    optimizer = SignMomentum(plain.parameters(), lr=0.01, momentum=0.9)
    for step in range(6):
        (rows,) = micro_batches(step)
        conduct(conductor, [{"total": sum(conducted_one(rows).values())}])
        optimizer.zero_grad()
        sum(plain(rows).values()).backward()
        optimizer.step()
        torch.testing.assert_close(flat(conducted_one), flat(plain), rtol=0, atol=1e-6)
    assert not torch.equal(flat(plain), flat(ToyTasks()))


def test_three_losses_as_told_plainly() -> None:
    method, plain = ToyTasks(), ToyTasks().double()
    conductor = adamw(method)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, betas=(0.0, 0.95), weight_decay=0.1)
    average, earlier, momentum = None, None, 0.0
    conflicts = 0
    for step in range(1, 9):
        (rows,) = micro_batches(step)
        told = conduct(conductor, [method(rows)])
        raw = []
        for name in sorted(method.heads):
            optimizer.zero_grad()
            plain(rows.double())[name].backward()
            raw.append(
                torch.cat(
                    [
                        torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                        for p in plain.parameters()
                    ]
                )
            )
        raw = torch.stack(raw)
        norms = raw.norm(dim=1)
        average = norms if average is None else 0.95 * average + 0.05 * norms
        stability = torch.zeros(3) if earlier is None else torch.cosine_similarity(raw, earlier)
        scores = arbiter_scores(stability.double(), norms / average, ConductorConfig())
        total = projected_one_by_one(raw, scores).sum(0)
        earlier = raw
        momentum = 0.9 * momentum + 0.1 * total
        corrected = (momentum / (1 - 0.9**step)).split([p.numel() for p in plain.parameters()])
        for parameter, gradient in zip(plain.parameters(), corrected, strict=True):
            parameter.grad = gradient.view_as(parameter)
        optimizer.step()
        torch.testing.assert_close(flat(method), flat(plain).float(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(told["grad_norm"], total.norm().float(), rtol=1e-3, atol=0)
        torch.testing.assert_close(told["grad_norm/contrast"], norms[1].float(), rtol=1e-3, atol=0)
        assert float(told["conflict/cosine"]) == pytest.approx(
            min(float(torch.cosine_similarity(a, b, dim=0)) for a, b in itertools.combinations(raw, 2)),
            abs=1e-4,
        )
        conflicts += int(told["conflict/resolutions"])
    assert conflicts > 0


def test_opposed_gradients_leave_the_winner_and_aligned_ones_add() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    conductor = descend(parameter)
    assert feed(conductor, parameter, a=[1.0, 0.0], b=[-2.0, 0.0]).tolist() == [-2.0, 0.0]
    assert feed(conductor, parameter, a=[1.0, 0.0], b=[2.0, 0.0]).tolist() == [3.0, 0.0]


@pytest.mark.parametrize(("start", "kept"), [(None, 2.0), (1.0, -3.0)])
def test_the_published_start_favours_the_larger_norm(start: float | None, kept: float) -> None:
    """``a`` grows from 1 to 2, ``b`` stays at 3: ``a`` is the stronger for its past, ``b`` for its size."""
    parameter = nn.Parameter(torch.zeros(2))
    conductor = descend(parameter, arbiter=(0.0, 1.0), norm_start=start)
    feed(conductor, parameter, a=[0.0, 1.0], b=[3.0, 0.0])
    assert feed(conductor, parameter, a=[0.0, 2.0], b=[0.0, -3.0]).tolist() == [0.0, kept]


def test_the_steadier_task_wins() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    conductor = descend(parameter, arbiter=(1.0, 0.0))
    feed(conductor, parameter, a=[0.0, 1.0], b=[3.0, 0.0])
    # b turned round, a kept its course: though b is larger, a is kept. The next time it is the other way.
    torch.testing.assert_close(
        feed(conductor, parameter, a=[0.0, 1.0], b=[0.0, -3.0]), torch.tensor([0.0, 1.0])
    )
    torch.testing.assert_close(
        feed(conductor, parameter, a=[0.0, 1.5], b=[0.0, -3.0]), torch.tensor([0.0, -3.0])
    )
    torch.testing.assert_close(
        feed(conductor, parameter, a=[1.5, 0.0], b=[-3.0, 0.0]), torch.tensor([-3.0, 0.0])
    )
    torch.testing.assert_close(
        feed(conductor, parameter, a=[1.5, 0.0], b=[0.0, 3.0]), torch.tensor([1.5, 3.0])
    )
    torch.testing.assert_close(
        feed(conductor, parameter, a=[2.0, 0.0], b=[-9.0, 0.0]), torch.tensor([2.0, 0.0])
    )


def test_strength_is_measured_by_each_tasks_own_average() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    conductor = descend(parameter, arbiter=(0.0, 1.0))
    assert feed(conductor, parameter, a=[1.0], b=[1.0]).tolist() == [2.0]
    # Norms over averages: a 2 / 1.05 = 1.905, b 3 / 1.1 = 2.727.
    assert feed(conductor, parameter, a=[2.0], b=[-3.0]).item() == pytest.approx(-3.0)
    # a 2 / 1.0975 = 1.822, b 2.09 / 1.1495 = 1.818.
    assert feed(conductor, parameter, a=[2.0], b=[-2.09]).item() == pytest.approx(2.0)
    assert conductor.state_dict()["memory"]["norm_average"].tolist() == pytest.approx([1.0975, 1.1495])


def test_one_tasks_zero_gradient_changes_nothing_for_the_others() -> None:
    with_zero, without = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    three, two = descend(with_zero), descend(without)
    for _ in range(2):
        step = feed(three, with_zero, a=[1.0, 0.0], b=[-1.0, 0.5], zero=[0.0, 0.0])
        torch.testing.assert_close(step, feed(two, without, a=[1.0, 0.0], b=[-1.0, 0.5]))


def test_a_loss_without_graph_has_gradient_zero() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    conductor = descend(parameter)
    conductor.backward({"empty": torch.zeros(()), "real": parameter.sum()})
    assert float(conductor.step()["grad_norm/empty"]) == 0
    assert parameter.tolist() == [-1.0, -1.0]
    with pytest.raises(RuntimeError, match="none of the losses empty, real depends on a parameter"):
        conductor.backward({"empty": torch.zeros(()), "real": parameter.detach().sum()})


@pytest.mark.parametrize("make", [sign_momentum, adamw])
def test_order_of_losses_is_irrelevant(make: Callable[..., GradientConductor]) -> None:
    results = []
    for order in itertools.permutations(("bright", "contrast", "structure")):
        method = ToyTasks()
        conductor = make(method)
        for step in range(3):
            losses = method(*micro_batches(step))
            conduct(conductor, [{name: losses[name] for name in order}])
        results.append(flat(method))
    assert all(torch.equal(result, results[0]) for result in results)


def test_accumulated_parts_are_one_large_batch() -> None:
    parted, whole = ToyTasks(), ToyTasks()
    train(parted, conducted(parted), [micro_batches(step, 3) for step in range(3)])
    train(whole, conducted(whole), [micro_batches(step) * 3 for step in range(3)])
    torch.testing.assert_close(flat(parted), flat(whole))


def test_stochastic_sampling_gives_each_loss_its_turn() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    config = ConductorConfig(sampling="stochastic", momentum=0.0)
    conductor = GradientConductor(optimizer, accumulate=4, config=config)
    for _ in range(3):
        before = parameter.detach().clone()
        for i in range(4):
            of_a, of_b = torch.zeros(4), torch.zeros(4)
            of_a[i], of_b[i] = 2.0, 10.0
            conductor.backward({"b": parameter @ of_b, "a": parameter @ of_a})
        conductor.step()
        assert (before - parameter).tolist() == [1.0, 1.0, 5.0, 5.0]


@pytest.mark.parametrize("make", [sign_momentum, adamw])
@pytest.mark.parametrize("losses", [1, 3])
def test_goes_on_bit_equal_from_its_state(
    tmp_path: Path, make: Callable[..., GradientConductor], losses: int
) -> None:
    def some(method: nn.Module, step: int) -> dict[str, Tensor]:
        return dict(list(method(*micro_batches(step)).items())[:losses])

    whole = ToyTasks()
    conductor = make(whole, win_limit=2)
    for step in range(6):
        if step == 3:
            state = {"method": whole.state_dict(), "optimizer": conductor.state_dict()}
            torch.save(state, tmp_path / "state.pt")
        conduct(conductor, [some(whole, step)])
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = ToyTasks()
    resumed.load_state_dict(state["method"])
    conductor = make(resumed, win_limit=2)
    conductor.load_state_dict(state["optimizer"])
    for step in range(3, 6):
        conduct(conductor, [some(resumed, step)])
    assert torch.equal(flat(resumed), flat(whole))


def test_weights_of_one_are_the_plain_sum() -> None:
    method, plain = ToyTasks(), ToyTasks()
    optimizers = [
        torch.optim.AdamW(module.parameters(), lr=0.01, betas=(0.0, 0.95)) for module in (method, plain)
    ]
    conductor = GradientConductor(
        optimizers[0], config=ConductorConfig(momentum=0.0), weighting=lambda gram: torch.ones(len(gram))
    )
    cosines = []
    for step in range(6):
        (rows,) = micro_batches(step)
        told = conduct(conductor, [method(rows)])
        cosines.append(float(told["conflict/cosine"]))
        optimizers[1].zero_grad()
        sum(plain(rows).values()).backward()
        norm = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None]).norm()
        torch.testing.assert_close(told["grad_norm"], norm, rtol=1e-5, atol=0)
        optimizers[1].step()
        torch.testing.assert_close(method.encoder.state_dict(), plain.encoder.state_dict())
        assert "conflict/resolutions" not in told
    assert min(cosines) < 0


def test_a_weighting_is_asked_with_the_inner_products_of_several_gradients() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    asked = []

    def weighting(gram: Tensor) -> Tensor:
        asked.append(gram.tolist())
        return gram[0]

    optimizer = torch.optim.SGD([parameter], lr=1.0)
    conductor = GradientConductor(optimizer, config=ConductorConfig(momentum=0.0), weighting=weighting)
    assert feed(conductor, parameter, b=[-2.0, 1.0], a=[1.0, 0.0]).tolist() == [5.0, -2.0]
    assert asked == [[[1.0, -2.0], [-2.0, 5.0]]]
    parameter = nn.Parameter(torch.zeros(2))
    conductor = GradientConductor(torch.optim.SGD([parameter], lr=1.0), weighting=weighting)
    assert feed(conductor, parameter, a=[3.0, 0.0]).tolist() == pytest.approx([3.0, 0.0])
    assert len(asked) == 1


def test_with_a_weighting_it_goes_on_bit_equal_from_a_state_of_the_same_form() -> None:
    def make(method: nn.Module) -> GradientConductor:
        optimizer = SignMomentum(method.parameters(), lr=0.01, momentum=0.0)
        return GradientConductor(optimizer, weighting=lambda gram: gram.diagonal().rsqrt())

    whole, ours = ToyTasks(), ToyTasks()
    conductor, resolving = make(whole), sign_momentum(ours)
    for step in range(3):
        conduct(conductor, [whole(*micro_batches(step))])
        conduct(resolving, [ours(*micro_batches(step))])
    state = copy.deepcopy(conductor.state_dict())
    forms = [
        {name: (t.shape, t.dtype) for name, t in saved["memory"].items()}
        for saved in (state, resolving.state_dict())
    ]
    assert forms[0] == forms[1] and not torch.equal(flat(whole), flat(ours))
    resumed = copy.deepcopy(whole)
    other = make(resumed)
    other.load_state_dict(state)
    for step in range(3, 6):
        conduct(conductor, [whole(*micro_batches(step))])
        conduct(other, [resumed(*micro_batches(step))])
    assert torch.equal(flat(resumed), flat(whole))


def test_wins_in_a_row_are_part_of_the_state() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    conductor = descend(parameter, win_limit=2, arbiter=(0.0, 1.0))
    steps = [feed(conductor, parameter, a=[1.0], b=[-2.0]).item() for _ in range(2)]
    resumed = descend(parameter, win_limit=2, arbiter=(0.0, 1.0))
    resumed.load_state_dict(conductor.state_dict())
    steps += [feed(resumed, parameter, a=[1.0], b=[-2.0]).item() for _ in range(2)]
    assert steps == pytest.approx([-2.0, -2.0, 1.0, -2.0])


def test_a_loaded_state_is_a_copy_and_replaces_what_was() -> None:
    method = ToyTasks()
    conductor, other = adamw(method), adamw(copy.deepcopy(method))
    untouched = copy.deepcopy(other.state_dict())
    conduct(conductor, [method(*micro_batches(0))])
    state = copy.deepcopy(conductor.state_dict())
    other.load_state_dict(conductor.state_dict())
    conduct(conductor, [method(*micro_batches(1))])
    for name, tensor in state["memory"].items():
        assert torch.equal(other.state_dict()["memory"][name], tensor), name
    conductor.load_state_dict(untouched)
    assert conductor.memory_bytes() == 0


def test_bf16_autocast_keeps_fp32_gradients() -> None:
    results = {}
    for enabled in (False, True):
        method = ToyTasks()
        conductor = conducted(method)
        for step in range(3):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                told = conduct(conductor, map(method, micro_batches(step, 3)))
        results[enabled] = flat(method)
        assert all(p.dtype == torch.float32 for p in method.parameters())
        assert conductor.state_dict()["memory"]["momentum"].dtype == torch.float32
        assert torch.isfinite(told["grad_norm"])
    assert not torch.equal(results[True], results[False])
    torch.testing.assert_close(results[True], results[False], rtol=0.05, atol=0.01)


def test_what_no_loss_reaches_stays() -> None:
    method = ToyTasks()
    conduct(sign_momentum(method), [method(*micro_batches(0))])
    assert torch.equal(method.unused, torch.ones(3))
    assert all(parameter.grad is None for parameter in method.parameters())


def test_frozen_parameters_stay() -> None:
    method = ToyTasks()
    method.encoder.requires_grad_(False)
    before = copy.deepcopy(method.encoder.state_dict())
    conduct(adamw(method), [method(*micro_batches(0))])
    assert all(torch.equal(value, before[name]) for name, value in method.encoder.state_dict().items())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_is_told(bad: float) -> None:
    parameter = nn.Parameter(torch.ones(2))
    conductor = descend(parameter)
    conductor.backward({"a": parameter.sum(), "b": bad * parameter.sum(), "c": -0.6 * parameter[0]})
    assert not torch.isfinite(conductor.step()["grad_norm"])


def test_clipping_bounds_what_the_optimizer_gets() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    conductor = descend(parameter)
    conductor.backward({"a": 3 * parameter[0], "b": 4 * parameter[1]})
    assert float(conductor.step(clip_norm=1.0)["grad_norm"]) == pytest.approx(5.0)
    assert (-parameter).tolist() == pytest.approx([0.6, 0.8])


def test_learning_rate_is_the_optimizers() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    conductor = descend(parameter)
    conductor.param_groups[0]["lr"] = 0.25
    assert feed(conductor, parameter, a=[1.0]).item() == 0.25


@pytest.mark.parametrize(("losses", "buffers"), [(1, 2), (2, 5), (3, 7)])
def test_memory_is_counted(losses: int, buffers: int) -> None:
    parameter = nn.Parameter(torch.ones(1000))
    conductor = descend(parameter)
    assert conductor.memory_bytes() == 0
    conductor.backward({str(i): parameter.sum() for i in range(losses)})
    assert buffers * 4000 <= conductor.memory_bytes() < buffers * 4000 + 200


def test_micro_batches_are_counted_and_forgotten() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    conductor = GradientConductor(
        torch.optim.SGD([parameter], lr=1.0), accumulate=2, config=ConductorConfig(momentum=0.0)
    )
    conductor.backward({"a": 100 * parameter.sum()})
    with pytest.raises(RuntimeError, match="after 1 of 2"):
        conductor.step()
    with pytest.raises(RuntimeError, match="after 1 of 2"):
        conductor.state_dict()
    conductor.zero_grad()
    for _ in range(2):
        conductor.backward({"a": parameter.sum()})
    with pytest.raises(RuntimeError, match=r"call step\(\) first"):
        conductor.backward({"a": parameter.sum()})
    conductor.step()
    assert parameter.item() == -1.0


def test_other_losses_than_before_are_refused() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    conductor = descend(parameter)
    feed(conductor, parameter, a=[1.0], b=[1.0])
    with pytest.raises(ValueError, match="got losses a, c; known are a, b"):
        feed(conductor, parameter, a=[1.0], c=[1.0])
    state = conductor.state_dict()
    other = descend(parameter)
    feed(other, parameter, a=[1.0])
    with pytest.raises(ValueError, match="of losses a, b; known are a"):
        other.load_state_dict(state)
    with pytest.raises(ValueError, match="of 1 parameters, there are 2"):
        descend(nn.Parameter(torch.zeros(2))).load_state_dict(state)


def test_shares_that_do_not_come_out_even_are_refused() -> None:
    method = ToyTasks()
    config = ConductorConfig(sampling="stochastic")
    conductor = GradientConductor(torch.optim.SGD(method.parameters(), lr=0.1), accumulate=4, config=config)
    with pytest.raises(ValueError, match=r"of 3 losses .* multiple of 3, it is 4"):
        conductor.backward(method(*micro_batches(0)))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sampling": "random"}, "sampling is 'random', it must be one of exact, stochastic"),
        ({"norm_decay": 1.0}, "norm_decay is 1.0"),
        ({"momentum": -0.1}, "momentum is -0.1"),
        ({"exponent": -2.0}, "exponent is -2.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ConductorConfig(**settings)


def test_optimizers_that_do_not_fit_are_refused() -> None:
    method = ToyTasks()
    with pytest.raises(ValueError, match=r"AdamW has a momentum of its own, 0.9.*momentum=0"):
        GradientConductor(torch.optim.AdamW(method.parameters()))
    with pytest.raises(ValueError, match=r"SGD has a momentum of its own, 0.5"):
        GradientConductor(torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.5))
    GradientConductor(torch.optim.AdamW(method.parameters()), config=ConductorConfig(momentum=0.0))
    with pytest.raises(ValueError, match="accumulate is 0"):
        GradientConductor(torch.optim.SGD(method.parameters(), lr=0.1), accumulate=0)
    with pytest.raises(ValueError, match=r"bfloat16 on cpu.*float32"):
        GradientConductor(torch.optim.SGD(method.bfloat16().parameters(), lr=0.1))
    with pytest.raises(ValueError, match="no trainable parameter"):
        GradientConductor(torch.optim.SGD(method.requires_grad_(False).parameters(), lr=0.1))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(toy_conductor.main, str(folder))
    return folder


@pytest.mark.parametrize("sampling", ["exact", "stochastic"])
def test_two_processes_conduct_as_one(ranks: Path, sampling: str) -> None:
    first, second = (torch.load(ranks / f"rank{rank}.pt", weights_only=True)[sampling] for rank in (0, 1))
    worlds = [World(rank, 2) for rank in (0, 1)]
    parts = [
        tuple(torch.cat(both) for both in zip(*(micro_batches(step, 3, w) for w in worlds), strict=True))
        for step in range(3)
    ]
    method = ToyTasks()
    train(method, conducted(method, sampling=sampling), parts)
    for name, value in method.state_dict().items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
def test_steps_on_a_gpu_never_wait_for_it() -> None:
    method = ToyTasks().cuda()
    conductor = sign_momentum(method, win_limit=2)
    batches = [micro_batches(step)[0].cuda() for step in range(4)]
    conduct(conductor, [method(batches[0])])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for rows in batches[1:]:
            told = conduct(conductor, [method(rows)])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(told["grad_norm"])
