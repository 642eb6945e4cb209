"""A measured step: memory against what must be held at least, devices, errors. No test of a time."""

import os
from functools import partial

import pytest
from torch import nn

from studykit.metrics.step_cost import available_bytes, measure_step

GRADIENTS = 4 * 4 * 1024 * (512 + 1024 + 2)


def test_peak_holds_the_gradients_and_the_first_of_several_outputs_is_used():
    cost = measure_step(partial(nn.LSTM, 512, 1024), (4, 2, 512), hx=None)
    assert cost.peak_bytes > 0.9 * GRADIENTS
    assert cost.seconds > 0


def test_an_error_in_the_step_reaches_the_caller():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_step(partial(nn.Linear, 4, 4), (2, 3))


def test_a_process_that_dies_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"exit code 9 and no result.*Measure a smaller volume"):
        measure_step(partial(os._exit, 9), (1,))


def test_available_memory_is_that_of_the_machine():
    assert available_bytes("cpu") > 2**20


@pytest.mark.gpu
def test_peak_on_a_card():
    cost = measure_step(partial(nn.LSTM, 512, 1024), (4, 2, 512), "cuda", hx=None)
    assert cost.peak_bytes > 0.9 * GRADIENTS
    assert available_bytes("cuda") > 0
