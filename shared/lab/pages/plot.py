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
    size: tuple[float, float] = (4.6, 3.2),
) -> Figure:
    """The figure that `paint(axes, ...)` draws on the Matplotlib axes of `panels` drawings; each is `size` inches.

    Panels stand side by side, or below one another on a narrow screen. What is labelled is named under each panel.
    Use the names in `COLORS` through `COLORS["blue"]`, or leave colours out: they are the default cycle.
    Matplotlib's global state is not touched. The same drawing gives the same SVG text.
    """
    import matplotlib

    with matplotlib.rc_context(_style(salt=title)):
        drawings = draw(paint, panels, size)
        texts = []
        for drawing in drawings:
            text = io.StringIO()
            drawing.savefig(
                text, format="svg", transparent=True, metadata={"Title": title, "Date": None, "Creator": None}
            )
            texts.append(_adopt(text.getvalue()))
    return Figure(title, tuple(texts), tuple(row.id for row in rows), caption)


def draw(paint: Callable[..., None], panels: int, size: tuple[float, float]) -> list[Any]:
    """The Matplotlib figures of `plot`: one axes each, and the legend below it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    drawings = [Drawing(figsize=size, layout="constrained") for _ in range(panels)]
    for drawing in drawings:
        FigureCanvasSVG(drawing)
    paint(*[drawing.subplots() for drawing in drawings])
    for drawing in drawings:
        legend_below(drawing)
    return drawings


def legend_below(drawing: Any) -> None:
    """Name what is labelled on any axes of a Matplotlib figure under them, where it covers nothing.

    The figure grows by the height of the legend, which has as many columns as fit.
    """
    entries = {label: it for axes in drawing.axes for it, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if not entries:
        return
    width, height = drawing.get_size_inches()
    for columns in range(min(len(entries), 4), 0, -1):
        legend = drawing.legend(
            entries.values(), entries.keys(), loc="outside lower left", ncols=columns, fontsize="small"
        )
        extent = legend.get_window_extent()
        if extent.width <= width * drawing.dpi:
            break
        if columns > 1:
            legend.remove()
    drawing.set_size_inches(width, height + extent.height / drawing.dpi)


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
        "legend.columnspacing": 1.2,
        "legend.handlelength": 1.5,
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
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img">{body}'
