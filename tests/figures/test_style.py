import io
import sys
from base64 import b64decode
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from studykit.figures.style import PALETTE, arm_style, plain_log_ticks, save_figure, show, use_style


def picture():
    fig, axis = plt.subplots()
    axis.plot([0, 1, 2], [3, 1, 2], marker="o")
    axis.fill_between([0, 1, 2], [2, 0, 1], [4, 2, 3], alpha=0.3)
    axis.imshow([[0, 1], [1, 0]])
    return fig


def test_equal_figures_are_equal_files(tmp_path):
    first = save_figure(picture(), tmp_path, "a")
    second = save_figure(picture(), tmp_path, "b")
    for kind in ("svg", "png"):
        assert first[kind].read_bytes() == second[kind].read_bytes()
    assert b"<dc:date>" not in first["svg"].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg"]


def test_a_figure_that_fails_to_draw_leaves_the_old_one(tmp_path):
    path = save_figure(picture(), tmp_path, "a")["svg"]
    before = path.read_bytes()
    broken = picture()
    broken.axes[0].set_title(r"$\nonsense$")
    with pytest.raises(ValueError, match="nonsense"):
        save_figure(broken, tmp_path, "a")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_layout_is_made_once_and_is_there_afterwards(tmp_path):
    fig, _ = plt.subplots(layout="constrained")
    layout, laid_out = fig.get_layout_engine(), []
    layout.execute = lambda own, execute=layout.execute: (laid_out.append(own), execute(own))
    save_figure(fig, tmp_path, "a")
    assert fig.get_layout_engine() is layout and len(laid_out) == 1


@pytest.fixture
def shown(monkeypatch):
    """What a notebook's kernel is given to display."""
    found = []
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    display = SimpleNamespace(display=lambda content, raw: found.append(content))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_a_kernel_shows_the_picture_that_was_saved(tmp_path, shown):
    figure = picture()
    saved = save_figure(figure, tmp_path, "a")["png"]
    (content,) = shown
    seen = Image.open(io.BytesIO(b64decode(content["image/png"])))
    assert seen.size == (640, 480) and Image.open(saved).size == (960, 720)
    assert content["text/plain"] == repr(figure)
    assert not plt.fignum_exists(figure.number), "it is not drawn again"


def test_a_picture_is_shown_without_a_file_as_large_as_one_that_is_saved(tmp_path, shown):
    figure = picture()
    show(figure)
    assert not plt.fignum_exists(figure.number) and not list(tmp_path.iterdir())
    save_figure(picture(), tmp_path, "a")
    sizes = [Image.open(io.BytesIO(b64decode(content["image/png"]))).size for content in shown]
    assert sizes == [(640, 480)] * 2


@pytest.mark.parametrize("name", ["../a", "", "a/b", ".a"])
def test_a_figure_cannot_leave_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="figure's name"):
        save_figure(picture(), tmp_path, name)


def test_arms_differ_without_colour_too():
    styles = arm_style([f"arm {i}" for i in range(7)])
    assert len({style["color"] for style in styles.values()}) == 7
    assert len({style["marker"] for style in styles.values()}) == 7
    assert len({style["linestyle"] for style in list(styles.values())[:4]}) == 4


def test_many_arms_share_no_style_and_too_many_are_refused():
    styles = arm_style([str(i) for i in range(56)])
    assert len({tuple(style.values()) for style in styles.values()}) == 56
    with pytest.raises(ValueError, match="57 arms"):
        arm_style([str(i) for i in range(57)])
    with pytest.raises(ValueError, match="differ"):
        arm_style(["a", "a"])


def test_style_becomes_the_default():
    with plt.rc_context():
        use_style()
        assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0] == PALETTE["blue"]


@pytest.mark.parametrize(("limits", "expected"), [((0.3, 1.05), 0.4), ((0.5, 20), 5), ((1, 1e5), 1000)])
def test_log_ticks_are_plain_and_not_too_many(limits, expected):
    _, axis = plt.subplots()
    axis.set(yscale="log", ylim=limits)
    plain_log_ticks(axis.yaxis)
    inside = [tick for tick in axis.get_yticks() if limits[0] <= tick <= limits[1]]
    assert any(abs(tick - expected) < 1e-9 for tick in inside)
    assert 3 <= len(inside) <= 9
    assert axis.yaxis.get_major_formatter()(2.0) == "2"
