"""Every method's training step on a card against the CPU, and as a graph against eager steps.

The same comparison runs on the CPU with a tape in place of the graph, for one case a method.
"""

import copy
from pathlib import Path

import pytest
import torch
from tape import Never, Sendings, TapeGraphs
from test_golden import FURTHER, LOSSES, SIZES, smooth_volumes
from torch import Tensor, nn

from studykit.methods import METHODS, build_method
from studykit.training.config import TrainingConfig
from studykit.training.graphs import CAPTURED, CudaGraphs
from studykit.training.loop import train
from studykit.training.records import METRICS, read_records

CASES = {
    f"{name}, {loss}": (name, {"img_size": 16, "patch_size": 4, **sizes, **options})
    for name, sizes in SIZES.items()
    for loss, options in LOSSES.items()
} | {case: (name, {"img_size": 16} | options) for case, (name, options) in FURTHER.items()}
OF_EACH = {name: case for case, (name, _) in reversed(CASES.items())}
"""A case of each method: the first."""
GRAPHED = (*OF_EACH.values(), "spark, mask token", "mim, vessel", "mae, phys", "bertswin, mvc, covariance")
LOSS_ERROR = {"fp32": 2e-3, "bf16": 0.1}
GRADIENT_ERROR = {"fp32": 2e-2, "bf16": 0.3}
"""Relative; wide, as these networks are tiny: what is wrong on a card is wrong by much more."""
IN_HALF = {"spark": {"img_size": 32}}
"""Of a method's cases in bf16. At 16 three voxels a sample are visible in the last stage: a norm over so few
makes much of what half precision loses."""
OF_ALL = 1e-3
"""Of the norm of all gradients, that rounding may move one of them by."""


def case_of(case: str, precision: str) -> tuple[str, dict]:
    """Method and options."""
    name, options = CASES[case]
    return name, options | (IN_HALF.get(name, {}) if precision == "bf16" else {})


def built(case: str, precision: str = "fp32") -> nn.Module:
    name, options = case_of(case, precision)
    torch.manual_seed(0)
    return build_method(name, **options)


def batch(method: nn.Module, case: str, generator: torch.Generator, precision: str = "fp32") -> Tensor:
    """Two crops, with classes in the second channel where the method wants them."""
    _, options = case_of(case, precision)
    volumes = smooth_volumes(generator, options.get("crop_size", options["img_size"]))
    if method.batch_channels == 2:
        volumes = torch.cat([volumes, (volumes > 0.5).float() + (volumes > 1.5)], dim=1)
    return volumes


def step(
    method: nn.Module, case: str, device: str, precision: str, sizes: str
) -> tuple[float, dict[str, Tensor]]:
    """Loss, and the gradient of each parameter, without randomness but that of crops and masks.

    Args:
        sizes: the precision whose sizes the crops have.
    """
    generator = torch.Generator().manual_seed(1)
    method = copy.deepcopy(method).to(device).eval()
    volumes = batch(method, case, generator, sizes).to(device)
    masks = method.draw_masks(2, generator, volumes)
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        total = sum(method(volumes, masks).values())
    total.backward()
    reached = {name: own.grad.cpu() for name, own in method.named_parameters() if own.grad is not None}
    return total.item(), reached


def norm(gradients: dict[str, Tensor]) -> float:
    return torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Of every parameter, within a share of its own and a small one of all: so small parts show, too."""
    assert found.keys() == expected.keys()
    slack = OF_ALL * norm(expected)
    for name, gradient in expected.items():
        apart = (found[name] - gradient).norm().item()
        assert apart <= GRADIENT_ERROR["fp32"] * gradient.norm().item() + slack, name


@pytest.mark.gpu
@pytest.mark.parametrize("precision", LOSS_ERROR)
@pytest.mark.parametrize("case", CASES)
def test_a_step_on_a_card_is_that_of_the_cpu(case, precision, monkeypatch, there="cuda"):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    method = built(case, precision)
    loss, gradients = step(method, case, "cpu", "fp32", precision)
    found, slopes = step(method, case, there, precision, precision)
    assert found == pytest.approx(loss, rel=LOSS_ERROR[precision], abs=1e-4)
    assert norm(slopes) == pytest.approx(norm(gradients), rel=GRADIENT_ERROR[precision], abs=1e-4)
    if precision == "fp32":
        assert_same_gradients(slopes, gradients)


@pytest.mark.parametrize("case", OF_EACH.values())
def test_a_step_in_half_precision_is_near_that_in_single(case, monkeypatch):
    """The comparison of the card, one case a method, on the CPU."""
    test_a_step_on_a_card_is_that_of_the_cpu(case, "bf16", monkeypatch, "cpu")


def test_a_gradient_that_is_wrong_in_one_parameter_is_seen():
    right = {"large": torch.full((100,), 1.0), "small": torch.full((4,), 0.1)}
    assert_same_gradients(right, right)
    wrong = right | {"small": -right["small"]}
    assert norm(wrong) == norm(right)
    with pytest.raises(AssertionError, match="small"):
        assert_same_gradients(wrong, right)


class Crops:
    """Batches on a device, each a shade brighter or darker."""

    def __init__(self, method: nn.Module, case: str, device: str) -> None:
        self.volumes = batch(method, case, torch.Generator().manual_seed(1)).to(device)

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        shade = torch.rand((), generator=generator).item()
        shaded = self.volumes.clone()
        shaded[:, 0] += shade
        return shaded[rows]


def trained(case: str, folder: Path, device: str, precision: str, graphs) -> tuple[list, list[str]]:
    """Records and notes of eight steps."""
    method, notes = built(case), []
    settings = TrainingConfig(
        steps=8, batch_size=2, lr=1e-3, warmup_steps=4, eval_every=2, checkpoint_every=8, precision=precision,
        clip_norm=1.0, weight_decay_end=0.4,
    )  # fmt: skip
    train(
        method, Crops(method, case, device), settings, folder=folder, seed=3, evaluate=lambda method: {},
        device=device, graphs=graphs, note=notes.append,
    )  # fmt: skip
    return read_records(folder / METRICS)[1:], notes


def assert_replayed_is_eager(case: str, folder: Path, device: str, precision: str, graphs) -> None:
    eager, _ = trained(case, folder / "eager", device, precision, Never())
    replayed, notes = trained(case, folder / "replayed", device, precision, graphs)
    assert notes == [CAPTURED]
    tolerance = 1e-3 if precision == "fp32" else 2e-2
    for expected, found in zip(eager, replayed, strict=True):
        assert found["train/total"] == pytest.approx(expected["train/total"], rel=tolerance, abs=1e-5)
        assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=10 * tolerance, abs=1e-5)


@pytest.mark.parametrize("case", OF_EACH.values())
def test_a_step_can_be_replayed(case, tmp_path, monkeypatch):
    """Nothing in a method's step reads from the device, nor holds a number that changes."""
    if "spark" in case or "mim" in case:  # on the CPU they look whether a mask hides what it should
        monkeypatch.setattr(TapeGraphs, "strict", False)
    assert_replayed_is_eager(case, tmp_path, "cpu", "fp32", TapeGraphs())


@pytest.mark.parametrize("case", OF_EACH.values())
def test_what_is_drawn_on_the_host_is_sent_without_waiting(case):
    method, generator = built(case), torch.Generator().manual_seed(1)
    volumes = batch(method, case, generator).to("meta")
    with Sendings() as sent:
        assert method.draw_masks(2, generator, volumes).device.type == "meta"
    assert not any(sent.blocking)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", LOSS_ERROR)
@pytest.mark.parametrize("case", GRAPHED)
def test_a_replayed_step_on_a_card_is_an_eager_one(case, precision, tmp_path):
    graphs = CudaGraphs(torch.device("cuda"))
    assert_replayed_is_eager(case, tmp_path, "cuda", precision, graphs)


def test_every_method_has_a_case():
    assert {CASES[case][0] for case in GRAPHED} == set(METHODS)
