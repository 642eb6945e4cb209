import pytest

from studykit.runs.cost import Cost, total


def test_hours_count_every_device():
    assert Cost.of_run(7200, "cpu", 4) == Cost(cpu_hours=8)
    assert Cost.of_run(1800, "cuda", 2, flops=1e15) == Cost(gpu_hours=1, flops=1e15)


def test_costs_add_up():
    runs = [Cost(1, 0, 1e12), Cost(0, 2, 3e12), Cost(0.5, 0, 0)]
    assert total(runs) == Cost(1.5, 2, 4e12)
    assert total([]) == Cost()


def test_cost_in_words_names_what_was_used():
    assert str(Cost(1.5, 0, 4e15)) == "1.50 CPU core-hours, 4.00 × 10¹⁵ FLOPs"
    assert str(Cost(0, 2.0, 0)) == "2.00 GPU-hours"
    assert str(Cost()) == "no compute"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "tpu", 1), "known: cpu, cuda"),
        ((-1, "cpu", 1), "at least 0 s"),
        ((1, "cpu", 0), "some device"),
    ],
)
def test_impossible_costs_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Cost.of_run(*arguments)
