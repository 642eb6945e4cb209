"""Who shares a machine: cores and memory decide on a CPU, what was asked for and memory on a GPU."""

import json
from types import SimpleNamespace

import pytest
import torch

from studykit import home
from studykit.runs import training_run
from studykit.runs.shares import CARD_BYTES, may_share, most_workers, sure_gain, worker_environment
from studykit.runs.side_by_side import workers_that_pay
from studykit.training.distributed import World

SMALL = {
    "training": {"batch_size": 8},
    "data": {"crop_size": 24},
    "method": {"name": "mae", "options": {}},
}
LARGE = SMALL | {"data": {"crop_size": 96}}


@pytest.fixture
def card(monkeypatch):
    """A GPU, as far as can be seen, of 80 GiB."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 * 2**30, 80 * 2**30))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_card_small_runs_share_the_cores_whatever_was_asked_for_cards(monkeypatch):
    monkeypatch.setenv(home.ON_A_CARD, "3")
    assert may_share(SMALL) and not may_share(LARGE)
    assert most_workers() <= torch.get_num_threads()
    assert sure_gain(4) == 4


def test_on_a_card_runs_of_any_size_share_it_once_that_is_asked_for(card, monkeypatch):
    assert not may_share(SMALL) and most_workers() == 1
    monkeypatch.setenv(home.ON_A_CARD, "3")
    assert may_share(SMALL) and may_share(LARGE) and most_workers() == 3
    monkeypatch.setenv(home.ON_A_CARD, "64")
    assert most_workers() == 80 * 2**30 // CARD_BYTES


def test_what_sharing_a_card_wins_is_not_reckoned_with_before_it_shows(card):
    assert sure_gain(3) == 1


def test_on_a_card_workers_pay_for_more_than_on_a_core(card, monkeypatch):
    monkeypatch.setenv(home.ON_A_CARD, "2")
    runs = [SimpleNamespace()] * 2
    assert workers_that_pay(runs, [1e12, 1e12]) == 1 and workers_that_pay(runs, [1e15, 1e15]) == 2


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_no_number_of_runs_is_refused(monkeypatch, given):
    monkeypatch.setenv(home.ON_A_CARD, given)
    with pytest.raises(
        ValueError, match=f"STUDYKIT_ON_A_CARD is a number of runs, at least 1; got '{given}'"
    ):
        home.runs_on_a_card()


def test_a_run_costs_its_share_of_a_card(monkeypatch):
    shared = worker_environment(4)
    assert json.loads(shared["STUDYKIT_SHARED_BY"]) == 4
    monkeypatch.setenv("STUDYKIT_SHARED_BY", shared["STUDYKIT_SHARED_BY"])
    on_card, on_cpu = World(device=torch.device("cuda", 0)), World(device=torch.device("cpu"))
    assert training_run._devices(on_card) == {"device": "cuda", "devices": 0.25}
    assert training_run._devices(on_cpu)["devices"] == torch.get_num_threads()
