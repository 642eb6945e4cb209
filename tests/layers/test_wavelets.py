"""Wavelets: the numbers of PyWavelets and ptwt, there and back at any size, gradients, precisions, errors."""

import warnings

import ptwt
import pytest
import pywt
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from studykit.layers import wavelet_matrices
from studykit.layers.wavelets import BANDS, MODES, Coefficients, dwt3d, from_pywt, idwt3d, to_pywt

WAVELETS = ("haar", "db2", "sym3", "coif1", "bior2.2", "rbio1.3")
SIZES = ((12, 8, 10), (9, 11, 7), (10, 9, 8))


def volume(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def flat(coeffs):
    return [coeffs.low, *coeffs.high]


def weighted(coeffs):
    low, *high = (band * volume(*band.shape, seed=i) for i, band in enumerate(flat(coeffs)))
    return Coefficients(low, tuple(high))


def assert_same(coeffs, expected):
    """``expected`` in the form of PyWavelets, of tensors or arrays."""
    low, *high = to_pywt(coeffs)
    assert len(high) == len(expected) - 1
    torch.testing.assert_close(low, torch.as_tensor(expected[0]))
    for ours, theirs in zip(high, expected[1:], strict=True):
        assert set(ours) == set(theirs)
        for band in BANDS:
            torch.testing.assert_close(ours[band], torch.as_tensor(theirs[band]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_coefficients_are_those_of_pywavelets_and_give_the_volume_back(wavelet, mode, size):
    x = volume(2, 2, *size)
    coeffs = dwt3d(x, wavelet, 2, mode)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Level value of")
        assert_same(coeffs, pywt.wavedecn(x.numpy(), wavelet, mode=mode, level=2, axes=(2, 3, 4)))
    torch.testing.assert_close(idwt3d(coeffs, size, wavelet), x)


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("mode", MODES)
def test_haar_and_its_gradients_are_those_of_ptwt(mode, size):
    ours, theirs = (volume(1, 3, *size).requires_grad_() for _ in range(2))
    coeffs, expected = dwt3d(ours, "haar", 2, mode), ptwt.wavedec3(theirs, "haar", mode=mode, level=2)
    assert_same(coeffs, expected)
    back = idwt3d(weighted(coeffs), size)
    d, h, w = size
    back_by_ptwt = ptwt.waverec3(to_pywt(weighted(from_pywt(expected))), "haar")[..., :d, :h, :w]
    torch.testing.assert_close(back, back_by_ptwt)
    for result in (back, back_by_ptwt):
        result.backward(volume(*result.shape, seed=9))
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 3, 5), (2, 1, 6)])
def test_haar_goes_on_where_an_axis_is_one_voxel(size, mode):
    x = volume(1, 1, *size)
    coeffs = dwt3d(x, level=4, mode=mode)
    assert coeffs.low.shape == (1, 1, 1, 1, 1)
    torch.testing.assert_close(idwt3d(coeffs, size), x)


def test_level_0_is_the_volume():
    x = volume(1, 2, 4, 5, 6)
    for wavelet in ("haar", "db2"):
        coeffs = dwt3d(x, wavelet, level=0)
        assert coeffs.high == ()
        assert torch.equal(coeffs.low, x)
        assert torch.equal(idwt3d(coeffs, (4, 5, 6), wavelet), x)


def test_haar_keeps_the_energy_and_a_constant_gains_2_sqrt_2_a_level():
    x = volume(2, 3, 8, 16, 12)
    energy = sum(band.square().sum() for band in flat(dwt3d(x, level=2)))
    torch.testing.assert_close(energy, x.square().sum())
    low, high = dwt3d(torch.ones(1, 1, 8, 8, 8, dtype=torch.float64), level=2)
    torch.testing.assert_close(low, torch.full_like(low, 8.0))
    assert all(h.abs().max() < 1e-14 for h in high)


def test_haar_leaks_neither_between_channels_nor_out_of_blocks():
    x = volume(1, 2, 8, 8, 8)
    changed = x.clone()
    changed[:, 1, 4:, :4, 4:] += 1 + volume(1, 4, 4, 4, seed=1)
    for before, after in zip(flat(dwt3d(x, level=2)), flat(dwt3d(changed, level=2)), strict=True):
        different = (before != after).flatten(0, -5).any(0)
        half = before.shape[-1] // 2
        assert different[1, half:, :half, half:].any()
        different[1, half:, :half, half:] = False
        assert not different.any()


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_no_details_are_zeros(wavelet):
    x = volume(1, 2, 7, 10, 8)
    low, (coarse, fine) = dwt3d(x, wavelet, 2)
    for high, zeros in (
        ((None, None), (torch.zeros_like(coarse), torch.zeros_like(fine))),
        ((coarse, None), (coarse, torch.zeros_like(fine))),
    ):
        without = idwt3d(Coefficients(low, high), (7, 10, 8), wavelet)
        torch.testing.assert_close(without, idwt3d(Coefficients(low, zeros), (7, 10, 8), wavelet))
    bare = idwt3d(Coefficients(low, (None, fine)), (7, 10, 8), wavelet)
    expected = pywt.waverecn(
        [low.numpy(), {}, {k: v.numpy() for k, v in to_pywt(Coefficients(low, (fine,)))[1].items()}],
        wavelet,
        axes=(2, 3, 4),
    )
    torch.testing.assert_close(bare, torch.from_numpy(expected)[:, :, :7, :10, :8])


def test_from_pywt_undoes_to_pywt():
    low, (coarse, fine) = dwt3d(volume(1, 2, 8, 8, 8), level=2)
    again = from_pywt(to_pywt(Coefficients(low, (coarse, fine))))
    assert all(map(torch.equal, flat(again), (low, coarse, fine)))
    assert from_pywt(to_pywt(Coefficients(low, (None, fine)))).high[0] is None


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_haar_by_finite_differences(mode):
    x = volume(1, 1, 3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: flat(dwt3d(x, level=2, mode=mode)), x)


def test_gradients_of_its_inverse_and_second_gradients():
    bands = [b.requires_grad_() for b in flat(dwt3d(volume(1, 1, 3, 2, 3), level=2))]

    def with_details(low, coarse, fine):
        return idwt3d(Coefficients(low, (coarse, fine)), (3, 2, 3))

    assert torch.autograd.gradcheck(with_details, bands)
    assert torch.autograd.gradcheck(lambda low: idwt3d(Coefficients(low, (None, None)), (3, 2, 3)), bands[0])
    assert torch.autograd.gradgradcheck(lambda *bands: with_details(*bands).square(), bands)


def test_gradients_come_from_the_low_band_or_the_details_alone():
    x = volume(1, 2, 4, 6, 4)
    for part in (lambda c: c.low, lambda c: c.high[0]):
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        part(dwt3d(ours)).square().sum().backward()
        part(from_pywt(ptwt.wavedec3(theirs, "haar", level=1))).square().sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_strides_do_not_matter():
    x = volume(2, 3, 4, 6, 8)
    expected = flat(dwt3d(x))
    for other in (x.contiguous(memory_format=torch.channels_last_3d), x.mT.contiguous().mT):
        assert all(map(torch.equal, flat(dwt3d(other)), expected))


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_haar_compiles_into_one_graph(mode):
    def there_and_back(x):
        low, (coarse, fine) = dwt3d(x, level=2, mode=mode)
        return (
            low,
            idwt3d(Coefficients(low, (coarse, 2 * fine)), x.shape[2:]),
            idwt3d(Coefficients(low, (None, None)), x.shape[2:]),
        )

    compiled = torch.compile(there_and_back, fullgraph=True, backend="aot_eager")
    results = []
    for function in (there_and_back, compiled):
        x = volume(1, 2, 7, 6, 8, dtype=torch.float32).requires_grad_()
        out = function(x)
        sum(o.pow(3).sum() for o in out).backward()
        results.append((*out, x.grad))
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(graph, eager)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_autocast_leaves_the_precision_alone(wavelet):
    x = volume(1, 2, 7, 8, 9, dtype=torch.float32).requires_grad_()
    plain = dwt3d(x, wavelet, 2)
    with torch.autocast("cpu", torch.bfloat16):
        coeffs = dwt3d(x, wavelet, 2)
        back = idwt3d(coeffs, (7, 8, 9), wavelet)
        mixed = idwt3d(Coefficients(coeffs.low.bfloat16(), coeffs.high), (7, 8, 9), wavelet)
    assert all(map(torch.equal, flat(coeffs), flat(plain)))
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0)
    mixed.square().sum().backward()
    assert x.grad.dtype == torch.float32 and x.grad.abs().min() > 0


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_and_comes_back_to_rounding(wavelet, dtype):
    x = volume(1, 2, 7, 8, 9, dtype=torch.float32).to(dtype).requires_grad_()
    coeffs = dwt3d(x, wavelet)
    back = idwt3d(coeffs, (7, 8, 9), wavelet)
    assert {band.dtype for band in (*flat(coeffs), back)} == {dtype}
    assert (back - x).abs().max() < 16 * torch.finfo(dtype).eps
    back.sum().backward()
    assert x.grad.dtype == dtype
    assert (x.grad - 1).abs().max() < 16 * torch.finfo(dtype).eps


def test_bad_input_is_refused():
    x = torch.zeros(1, 1, 8, 8, 8)
    for bad in (x[0], x.long(), x[:, :, :0]):
        with pytest.raises(ValueError, match=r"floating \(B, C, D, H, W\), none empty, got"):
            dwt3d(bad)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        dwt3d(x, level=-1)
    with pytest.raises(ValueError, match=r"Unknown mode 'smooth'.*periodic"):
        dwt3d(x, mode="smooth")
    with pytest.raises(ValueError, match=r"Unknown wavelet 'morl'.*db2.*haar"):
        dwt3d(x, "morl")
    with pytest.raises(ValueError, match="Unknown wavelet 'morl'"):
        idwt3d(dwt3d(x), (8, 8, 8), "morl")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", ["db4", "dmey"])
def test_long_filters_go_axis_by_axis_whatever_the_border(wavelet, mode):
    """``dmey`` has 62 samples: as one kernel it took 50 s here, and asked for 490 GB on an odd volume."""
    x = volume(1, 1, 5, 24, 9)
    coeffs = dwt3d(x, wavelet, 1, mode)
    expected = pywt.wavedecn(x.numpy(), wavelet, mode=mode, level=1, axes=(2, 3, 4))
    assert_same(coeffs, expected)
    back = torch.from_numpy(pywt.waverecn(expected, wavelet, axes=(2, 3, 4)))[:, :, :5, :24, :9]
    torch.testing.assert_close(idwt3d(coeffs, (5, 24, 9), wavelet), back)


def test_a_long_filter_takes_few_products():
    """By count, as a clock tells little on a busy machine: one kernel of 62³ would take 3·10¹¹ operations."""
    x = torch.zeros(1, 1, 24, 24, 24)
    with FlopCounterMode(display=False) as counter:
        coeffs = dwt3d(x, "dmey")
        idwt3d(coeffs, x.shape[2:], "dmey")
    assert 0 < counter.get_total_flops() < 100 * 62 * sum(band.numel() for band in flat(coeffs))


@pytest.mark.parametrize("mode", ["zero", "periodic"])
def test_gradients_of_a_long_filter_by_finite_differences(mode):
    x = volume(1, 1, 3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: flat(dwt3d(x, "db3", mode=mode)), x)
    bands = [b.requires_grad_() for b in flat(dwt3d(x.detach(), "db3"))]
    assert torch.autograd.gradcheck(lambda a, b: idwt3d(Coefficients(a, (b,)), (3, 2, 4), "db3"), bands)


def test_coefficients_of_another_size_are_refused():
    coeffs = dwt3d(torch.zeros(1, 2, 8, 7, 8), level=2)
    assert idwt3d(coeffs, (8, 8, 8)).shape == (1, 2, 8, 8, 8)
    with pytest.raises(ValueError, match=r"2 levels of haar.*\(8, 9, 8\).*got \[\(1, 2, 2, 2, 2\)"):
        idwt3d(coeffs, (8, 9, 8))
    with pytest.raises(ValueError, match="2 levels of db2"):
        idwt3d(coeffs, (8, 7, 8), "db2")
    with pytest.raises(ValueError, match="1 levels of haar"):
        idwt3d(Coefficients(coeffs.low, coeffs.high[:1]), (8, 7, 8))


def test_haar_keeps_nothing_for_the_backward_pass():
    kept = []
    x = volume(1, 2, 4, 6, 8).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        idwt3d(dwt3d(x, level=1), (4, 6, 8))
    assert kept == []


def test_matrices_are_sent_to_a_device_once():
    """A copy in a training step would make the host wait for a card, and no graph could hold it."""
    x = torch.rand(1, 1, 6, 7, 8, device="meta")

    class Sent(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            self.count += function is torch.ops.aten._to_copy.default
            return function(*arguments, **(keywords or {}))

    counts = []
    for _ in range(2):
        with Sent() as sent:
            for size in x.shape[2:]:
                wavelet_matrices._on_device(x, wavelet_matrices._analysis, "db3", size, "zero")
                wavelet_matrices._on_device(x, wavelet_matrices._synthesis, "db3", size)
        counts.append(sent.count)
    assert counts[0] > 0 == counts[1]
