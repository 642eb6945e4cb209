"""House style of the figures: Okabe and Ito's colour-blind-safe palette (2008), markers and line styles.

Colour never carries a difference alone, so a figure survives greyscale print. Saved figures are
deterministic: the same data and library versions give the same bytes.
"""

import functools
import io
import itertools
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from PIL import Image

from studykit import atomic
from studykit.claims.estimate import Estimate
from studykit.figures.light import light_png, light_svg

WIDTH = 7.2
"""Full text width in inches: an A4 column and a notebook cell alike."""

PALETTE = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
}
"""Okabe and Ito's palette without its yellow, which is too pale for a line on white paper."""

DASHED, DOTTED = (0, (6, 3)), (0, (1.5, 2))
"""Lines that mark a level, such as a target or a reported number."""

SMALL = {"fontsize": 8, "textcoords": "offset points"}
"""Words beside such a line."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", "-.", ":")

STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.formatter.use_mathtext": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=list(PALETTE.values())),
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "image.interpolation": "nearest",
    "savefig.dpi": 150,
    "svg.hashsalt": "studykit",
    "svg.fonttype": "path",
}

P = ParamSpec("P")


def use_style() -> None:
    """Make the house style the default of every figure drawn afterwards in this process."""
    plt.rcParams.update(STYLE)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw one figure in the house style, whatever the caller's own defaults."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with plt.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def arm_style(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour, marker and line style of each arm, by its place in ``names``; no two arms share all three.

    Raises:
        ValueError: a name stands twice, or there are more arms than distinct styles (56).
    """
    if len(set(names)) != len(names):
        raise ValueError(f"arm names must differ to be told apart in a figure, got {list(names)}")
    most = len(PALETTE) * len(MARKERS)
    if len(names) > most:
        raise ValueError(f"got {len(names)} arms, a figure tells {most} apart: split the figure")
    colours, markers, lines = (itertools.cycle(c) for c in (PALETTE.values(), MARKERS, LINE_STYLES))
    return {
        name: {"color": next(colours), "marker": next(markers), "linestyle": next(lines)} for name in names
    }


def plain_log_ticks(axis: Axis) -> None:
    """Ticks of a log axis as plain numbers, as many a decade as its limits leave room for; call it last."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0) if decades < 1 else (1.0, 2.0, 5.0) if decades < 3 else (1.0,)
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def score_limits(
    values: Sequence[float], estimates: Sequence[Estimate], floor: float = 0
) -> tuple[float, float]:
    """Limits of an axis: all values and intervals, but no interval more than four times their spread away."""
    spread = max(np.ptp(values), 0.02)
    ends = [end for e in estimates for end in (e.low, e.high) if np.isfinite(end)]
    low = max(min([*values, *ends]), min(values) - 4 * spread, floor)
    high = min(max([*values, *ends]), max(values) + 4 * spread, 1)
    margin = 0.06 * max(high - low, 0.02)
    return low - margin, high + margin


def save_figure(fig: Figure, folder: str | Path, name: str) -> dict[str, Path]:
    """Write ``<folder>/<name>.svg`` and ``.png`` (150 dpi), light, both or, if drawing fails, neither.

    No date and no software version goes in, so equal figures are equal files. See
    :mod:`studykit.figures.light`. An open notebook shows the picture as it was saved, and the figure is
    closed: it is not drawn once more to be shown.

    Raises:
        ValueError: ``name`` is not a plain file stem of letters, digits, ``.``, ``_`` and ``-``.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"a figure's name must be letters, digits, '.', '_' or '-', got {name!r}")
    pictures = _drawn(fig)
    paths = {}
    for kind, content in pictures.items():
        paths[kind] = Path(folder) / f"{name}.{kind}"
        atomic.write_bytes(paths[kind], content)
    _show(fig, pictures["png"])
    return paths


def show(fig: Figure) -> None:
    """Show a figure in a notebook where it stands, as :func:`save_figure` does, without a file."""
    pixels = io.BytesIO()
    with plt.rc_context(STYLE):
        fig.savefig(pixels, format="png", dpi=STYLE["figure.dpi"], metadata={"Software": None})
    _show(fig, light_png(pixels.getvalue()))


def _drawn(fig: Figure) -> dict[str, bytes]:
    """The figure as SVG and as PNG, laid out once."""
    pixels, vectors = io.BytesIO(), io.BytesIO()
    with plt.rc_context(STYLE):
        fig.savefig(pixels, format="png", metadata={"Software": None})
        layout = fig.get_layout_engine()
        fig.set_layout_engine("none")
        try:
            fig.savefig(vectors, format="svg", metadata={"Date": None, "Creator": None})
        finally:
            fig.set_layout_engine(layout)
    return {"svg": light_svg(vectors.getvalue().decode()).encode(), "png": light_png(pixels.getvalue())}


def _show(fig: Figure, png: bytes) -> None:
    """In a notebook's kernel, show the picture, shrunk to the size that the figure has on a screen.

    What has that size is left alone: voxels resampled are mixtures and take three times the bytes.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):
        return
    from IPython.display import display

    picture = Image.open(io.BytesIO(png))
    size = [round(side * STYLE["figure.dpi"]) for side in fig.get_size_inches()]
    if picture.width > size[0]:
        shrunk = io.BytesIO()
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(shrunk, "PNG")
        png = shrunk.getvalue()
    display({"image/png": b64encode(png).decode(), "text/plain": repr(fig)}, raw=True)
    plt.close(fig)
