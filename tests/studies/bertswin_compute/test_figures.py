import pytest

from studykit.studies.bertswin_compute.figures import cost_growth, step_costs


def legend(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_growth_draws_lines_counts_and_quoted_figures_in_their_units():
    lines = {"BertsWin": ([96, 224, 512], [1e11, 1e12, 1e13]), "bound": ([96, 512], [1e11, 9e12])}
    per_token = {"BertsWin": ([96, 512], [2e8, 3e8])}
    fig = cost_growth(
        lines, per_token, "Growth", {"BertsWin": ([224], [1e12])}, {"BertsWin": ([512], [5e12])}
    )
    left, right = fig.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("side of the volume (voxels)", "forward TFLOP")
    assert right.get_ylabel() == "forward MFLOP a token"
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in left.lines if len(line.get_xdata())]
    assert drawn == [
        ([96, 224, 512], [0.1, 1, 10]),
        ([224], [1]),
        ([512], [5]),
        ([96, 512], [0.1, 9]),
    ]
    assert list(right.lines[0].get_ydata()) == [200, 300]
    assert legend(fig) == ["BertsWin (1 counted)", "bound", "quoted"]
    assert legend(cost_growth(lines, per_token, "Growth")) == ["BertsWin", "bound"]


def test_step_costs_show_time_and_memory_with_what_was_counted():
    seconds, peak = {"BertsWin": ([64, 96], [0.5, 1.0])}, {"BertsWin": ([64, 96], [1e9, 2e9])}
    fig = step_costs(seconds, peak, "A step", {"BertsWin": ([64, 96, 160], [0.9e9, 1.9e9, 3e9])})
    time, memory = fig.axes
    assert list(time.lines[0].get_ydata()) == [0.5, 1.0]
    assert [list(line.get_ydata()) for line in memory.lines] == [[1, 2], [0.9, 1.9, 3]]
    assert (time.get_ylabel(), memory.get_ylabel()) == ("seconds a step", "peak memory of a step (GB)")
    assert "counted" in memory.get_title(loc="left")
    assert "counted" not in step_costs(seconds, peak, "A step").axes[1].get_title(loc="left")


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: cost_growth({}, {}, "t"), "no lines"),
        (lambda: step_costs({}, {}, "t"), "no measurement"),
    ],
)
def test_nothing_to_draw_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
