"""Figures as SVG that follow the page: its fonts, its colours by day and by night."""

import io
import re
from collections.abc import Callable
from typing import Any

from shared.lab.pages.page import Figure
from shared.lab.records.store import Row

# Matplotlib needs real colours to draw with; the page replaces each by its own, one set for light and one for dark.
# Okabe & Ito (2008), which colour-blind readers distinguish too.
COLORS = {
    "blue": "#0072b2",
    "orange": "#e69f00",
    "green": "#009e73",
    "red": "#d55e00",
    "purple": "#cc79a7",
    "sky": "#56b4e9",
    "grey": "#8c8c8c",
}
_INK, _FAINT, _PAPER = "#010203", "#d0d1d2", "#fdfefe"
_VARIABLES = {**COLORS, "ink": _INK, "rule": _FAINT, "paper": _PAPER}


def plot(
    paint: Callable[..., None],
    *rows: Row,
    title: str,
    caption: str = "",
    panels: int = 1,
    size: tuple[float, float] = (9.2, 3.8),
) -> Figure:
    """The figure that `paint(axes, ...)` draws on `panels` Matplotlib axes side by side; `size` is in inches.

    Use the names in `COLORS` through `COLORS["blue"]`, or leave colours out: they are the default cycle.
    Matplotlib's global state is not touched. The same drawing gives the same SVG text.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(_style(salt=title)):
        canvas = Canvas(figsize=size, layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.subplots(1, panels, squeeze=False)[0]
        paint(*axes)
        text = io.StringIO()
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Figure(title, _adopt(text.getvalue()), tuple(row.id for row in rows), caption)


def _style(salt: str) -> Any:
    from cycler import cycler

    return {
        "svg.hashsalt": salt,
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.prop_cycle": cycler(color=list(COLORS.values())),
        "grid.color": _FAINT,
        "grid.linewidth": 0.6,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "patch.edgecolor": _PAPER,
    }


def _adopt(svg: str) -> str:
    """Keep the drawing alone, in the page's colours and font, and let it scale with the page."""
    svg = svg[svg.index("<svg") :]
    for name, color in _VARIABLES.items():
        svg = re.sub(color, f"var(--{name})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?px)[^;\"]*", r"font-size: \1", svg)
    head, body = svg.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + body
