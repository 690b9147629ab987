"""Parts that the plots of a report share. Runs in a process apart, like `drawing`.

Colours keep their meaning: blue = new, grey = before, green = inside the limits, red = outside.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

Array = np.ndarray[Any, np.dtype[Any]]
Edges = tuple[float | None, float | None]
"""Lower and upper limit; None = free."""

BLUE, GREY, RED, GREEN, BAND, INK = "#1858b8", "#8793a3", "#c0281e", "#14713f", "#e4f2ea", "#3c4756"
NEW, BEFORE, OUTSIDE = ("o", BLUE, "new"), ("o", GREY, "previous"), ("o", RED, "outside")
BEFORE_AS_LINE, WITHIN = ("_", GREY, "previous"), ("s", "#bfe0cc", "within the limits")

WIDTH, LEFT, RIGHT = 4.7, 0.72, 0.08  # inches; on a telephone the plot is about as wide as it is on paper
MANY_POINTS, WITH_ERRORS, WITH_DISTRIBUTION, LABELLED = 1200, 400, 40, 4

_BESIDE = ((6, 0), (-6, 0), (0, 5), (0, -5), (5, 4), (5, -4), (-5, 4), (-5, -4), (6, 13), (-6, 13), (6, -13), (-6, -13))
"""Where the number of a channel may stand, in points to the right of it and above it."""

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": "#c3cad4",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": "#5b6676",
    "ytick.color": "#5b6676",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "savefig.dpi": 180,
    "svg.hashsalt": "b2cal",  # the same plot is the same file
}


def rows(heights: list[float]) -> tuple[Figure, list[Axes]]:
    """A figure of axes one below the other, heights in inches; a third one stands apart from the first two."""
    spaced = [heights[0], *(part for height in heights[1:] for part in (0.16, height))]
    if len(heights) > 2:
        spaced[3] = 0.55
    figure = Figure(figsize=(WIDTH, sum(spaced)))
    grid = figure.add_gridspec(
        len(spaced), 1, height_ratios=spaced, hspace=0, left=LEFT / WIDTH, right=1 - RIGHT / WIDTH, bottom=0, top=1
    )
    return figure, [figure.add_subplot(grid[row]) for row in range(0, len(spaced), 2)]


def save(figure: Figure, path: str) -> None:
    """Write an SVG file. All have the same width, so that their text has the same size side by side."""
    tight = figure.get_tightbbox()
    box = Bbox([[min(0.0, tight.x0), tight.y0 - 0.04], [max(WIDTH, tight.x1), tight.y1 + 0.04]])
    figure.savefig(path, metadata={"Date": None}, bbox_inches=box, transparent=True)


def points(
    axis: Axes, values: Array, error: Array | None, colour: str, *, hollow: bool = False, marked: Array | None = None
) -> None:
    """One point per channel; `marked` ones in red. Large clouds become pixels, so that files stay small."""
    x = np.arange(values.size)
    many = values.size > MANY_POINTS
    size = float(np.clip(220 / max(values.size, 1), 1.6, 5.0))
    if error is not None and values.size <= WITH_ERRORS:
        axis.errorbar(x, values, error.ravel(), fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.55, zorder=2)
    face = "white" if hollow and not many else colour
    axis.plot(x, values, "o", ms=size, color=colour, mfc=face, mew=0.9 if hollow else 0, rasterized=many, zorder=3)
    if marked is not None and marked.any():
        axis.plot(x[marked], values[marked], "o", ms=size + 2.2, color=RED, mew=0, zorder=4)


def lying(axis: Axes, value: float, error: float, before: float | None, width: float) -> None:
    """One number on a horizontal axis, with its error and the previous one as line and band."""
    if before is not None:
        axis.axvspan(before - width, before + width, color=GREY, alpha=0.25, lw=0)
        axis.axvline(before, color=GREY, lw=1.6)
    axis.errorbar([value], [0], xerr=[error], fmt="o", color=BLUE, ms=6, lw=1.6)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(6))


def are_outside(values: Array, edges: Edges) -> Array:
    """Which values lie beyond the limits; NaN does not."""
    low, high = edges
    with np.errstate(invalid="ignore"):
        return (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))


def limits(axis: Axes, values: Array, edges: Edges) -> None:
    """The allowed range as a green band with dashed edges, on a vertical scale that holds the values, too."""
    bottom, top = _span(values, edges)
    axis.set_ylim(bottom, top)
    if edges != (None, None):
        low, high = edges
        axis.axhspan(bottom if low is None else low, top if high is None else high, color=BAND, lw=0, zorder=0)
        for edge in (edge for edge in edges if edge is not None):
            axis.axhline(edge, color=GREEN, lw=1.0, dashes=(5, 3), zorder=1)


def lying_limits(axis: Axes, values: Array, edges: Edges) -> None:
    """The same on a horizontal scale."""
    if edges == (None, None):
        return
    left, right = _span(values, edges)
    low, high = edges
    axis.set_xlim(left, right)
    axis.axvspan(left if low is None else low, right if high is None else high, color=BAND, lw=0, zorder=0)
    for edge in (edge for edge in edges if edge is not None):
        axis.axvline(edge, color=GREEN, lw=1.0, dashes=(5, 3), zorder=1)


def _span(values: Array, edges: Edges) -> tuple[float, float]:
    seen = [*values[np.isfinite(values)].tolist(), *(edge for edge in edges if edge is not None)] or [0.0]
    margin = 0.08 * (max(seen) - min(seen)) or 0.1 * abs(seen[0]) or 1.0
    return min(seen) - margin, max(seen) + margin


def number_outside(axis: Axes, values: Array, outside: Array) -> None:
    """The numbers of the channels that lie outside most, beside their points, the worst first.

    One that finds no room without touching another is left out: the table of the worst channels has it. Where there is
    room depends on the scales, so these must stand before.
    """
    chosen = np.flatnonzero(outside & np.isfinite(values))
    taken: list[Bbox] = []
    for i in chosen[np.argsort(-np.abs(values[chosen]))][:LABELLED]:
        for right, up in _BESIDE:
            label = axis.annotate(
                str(i),
                (float(i), float(values[i])),
                xytext=(right, up),
                textcoords="offset points",
                ha=("center", "left", "right")[int(np.sign(right))],
                va=("center", "bottom", "top")[int(np.sign(up))],
                fontsize=8.5,
                color=RED,
            )
            box = label.get_window_extent().padded(1)
            if _holds(axis.get_window_extent(), box) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def _holds(frame: Bbox, box: Bbox) -> bool:
    return bool(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)


def distribution(axis: Axes, samples: list[tuple[Array, str]]) -> None:
    """How many channels have which value, on a narrow axis at the right that shares the scale."""
    if samples[0][0].size < WITH_DISTRIBUTION:
        return
    axis.figure.subplots_adjust(right=1 - 0.5 / WIDTH)
    bottom, top = axis.get_ylim()
    beside = axis.inset_axes((1.01, 0, 0.1, 1))
    edges = np.linspace(bottom, top, 41)
    for values, colour in samples:
        counts, _ = np.histogram(values[np.isfinite(values)], edges)
        fill = colour == BLUE
        beside.stairs(counts, edges, orientation="horizontal", color=colour, fill=fill, alpha=0.45 if fill else 1, lw=1)
    beside.set_ylim(bottom, top)
    beside.axis("off")


def coloured_map(axis: Axes, values: Array, most: float) -> None:
    """Rows and columns of channels, coloured from -most to +most."""
    image = axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axis.set_xlabel("column")
    axis.set_ylabel("row")
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    bar = axis.figure.colorbar(image, cax=axis.inset_axes((1.015, 0, 0.025, 1)))
    bar.outline.set_visible(False)


def channels(axis: Axes, n: int) -> None:
    """A horizontal axis of n channels, with pale lines across."""
    axis.set_xlim(-0.7 if n < 30 else -0.01 * n, n - 0.3 if n < 30 else 1.01 * n)
    axis.xaxis.set_major_locator(MaxNLocator(min(n, 8), integer=True))
    axis.grid(axis="y", color="#e9edf1", lw=0.7)
    axis.set_axisbelow(True)


def key(axis: Axes, entries: list[tuple[str, str, str]]) -> None:
    """What marks and colours mean, in one line above the plot."""
    handles = [
        Line2D([], [], marker=marker, color=colour, lw=0, ms=5, mfc="white" if text == "previous" else colour)
        for marker, colour, text in entries
    ]
    axis.legend(
        handles,
        [text for _, _, text in entries],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(entries),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.2,
        borderpad=0.2,
    )


def channel(name: str, shape: tuple[int, ...], flat: int) -> str:
    """A channel by its place in an array."""
    return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(flat, shape))}]"


def written(value: Any, form: str = ".4g") -> str:
    """A number as people read it."""
    return format(float(value), form).replace("-", "−")


mpl.rcParams.update(STYLE)
