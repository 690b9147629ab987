"""Draws the plots of a report. Runs in a process apart: see `conditions.work_apart`.

Text is drawn as shapes and large clouds of points as pixels, so that every file looks the same everywhere and stays
small. Colours keep their meaning: blue = new, grey = before, green = inside the limits, red = outside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from b2cal.calibration.payload import Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation.comparison import Comparison, Manner, compare_payloads, errors

Array = np.ndarray[Any, np.dtype[Any]]

BLUE, GREY, RED, GREEN, BAND, INK = "#1858b8", "#8793a3", "#c0281e", "#14713f", "#e4f2ea", "#3c4756"
WIDTH = 5.2  # inches; on a telephone the plot is about as wide as this page is on paper
MANY_POINTS = 1200
_ANY = IoV(ExpRun(0, 0), None)

mpl.rcParams.update(
    {
        "font.size": 9.5,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": "#c3cad4",
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.limits": (-4, 5),
        "axes.formatter.useoffset": False,
        "text.color": INK,
        "xtick.color": "#5b6676",
        "ytick.color": "#5b6676",
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "lines.solid_capstyle": "round",
        "savefig.dpi": 180,
        "svg.hashsalt": "b2cal",
    }
)


def handle(item: dict[str, Any]) -> list[dict[str, str]]:
    """Draw the plots of a payload (`pieces`) or of a `measurement` into files of a folder.

    Returns:
        For each plot `key` (of the payload; empty for a measurement) and either `file` with `caption`, or `error`.
    """
    plots = _of_payload(item) if "pieces" in item else _of_measurement(item)
    results = []
    for key, draw in plots:
        file = f"{item['stem']}{'_' if key else ''}{key}.svg"
        try:
            figure, caption = draw()
            figure.savefig(Path(item["folder"]) / file, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.04)
            results.append({"key": key, "file": file, "caption": caption})
        except Exception as error:  # noqa: BLE001  one plot that cannot be drawn must not cost the others
            results.append({"key": key, "error": f"{type(error).__name__}: {error}"})
    return results


# --- constants -------------------------------------------------------------------------------------------------------


class Piece:
    """New constants of one IoV with those before."""

    def __init__(self, piece: dict[str, Any]) -> None:
        self.iov: str = piece["iov"]
        self.first: str = piece["first"]
        self.new = Payload.read(piece["new"], _ANY)
        self.previous = None if piece["previous"] is None else Payload.read(piece["previous"], _ANY)
        self.changes = {} if self.previous is None else compare_payloads(self.new, self.previous)
        self.e_new = errors(self.new)
        self.e_previous = {} if self.previous is None else errors(self.previous)

    def worst(self, key: str) -> float:
        """The largest own change of an array."""
        change = self.changes.get(key)
        return 0.0 if change is None else float(np.max(np.abs(change.own), initial=0.0))


def _of_payload(item: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    pieces = [Piece(piece) for piece in item["pieces"]]
    for key in pieces[0].new.values:
        limits = item["limits"].get(key, (None, None))
        having = [piece for piece in pieces if key in piece.new.values]
        yield key, lambda key=key, having=having, limits=limits: _constants(key, having, limits)


def _constants(key: str, pieces: list[Piece], limits: tuple[float | None, float | None]) -> tuple[Figure, str]:
    if pieces[0].new.values[key].size == 1:
        return _single_values(key, pieces)
    piece = max(pieces, key=lambda piece: piece.worst(key))
    change = piece.changes.get(key)
    of_several = f"{piece.iov}, the IoV that changed most of {len(pieces)}. " if len(pieces) > 1 else ""
    if change is not None and _is_flags(piece, key):
        figure, caption = _flags(key, piece)
    elif change is None or change.manner is not Manner.NUMBERS:
        figure, caption = _without_reference(key, piece)
    else:
        figure, caption = _changed_channels(key, piece, change, limits)
    return figure, of_several + caption


def _is_flags(piece: Piece, key: str) -> bool:
    array = piece.new.values[key]
    return array.dtype.kind == "b" or piece.changes[key].manner is Manner.FLAGS


def _changed_channels(
    key: str, piece: Piece, change: Comparison, limits: tuple[float | None, float | None]
) -> tuple[Figure, str]:
    """New over previous, below it the own change of each channel with its limits; a map if channels have rows."""
    assert piece.previous is not None
    new, previous = (it.values[key].astype(float).ravel() for it in (piece.new, piece.previous))
    shape = piece.new.values[key].shape
    outside = _outside(change.own, *limits)
    mapped = len(shape) == 2 and min(shape) > 2
    figure, axes = _rows([2.2, 1.5, 1.3] if mapped else [2.2, 1.6])
    _points(axes[0], previous, piece.e_previous.get(key), GREY, hollow=True)
    _points(axes[0], new, piece.e_new.get(key), BLUE, marked=outside)
    axes[0].set_ylabel(key)
    _key(axes[0], [("o", BLUE, "new"), ("o", GREY, "previous"), *([("o", RED, "outside")] if outside.any() else [])])
    _limits(axes[1], change.own, *limits)
    _points(axes[1], change.own, None, BLUE, marked=outside)
    axes[1].set_ylabel("own change [σ]")
    for axis in axes[:2]:
        _channel_axis(axis, new.size)
    axes[0].tick_params(labelbottom=False)
    axes[1].set_xlabel("channel")
    if mapped:
        _map(axes[2], change.own.reshape(shape), max(abs(limit) for limit in (*limits, 1.0) if limit is not None))
    worst = int(np.argmax(np.abs(change.own)))
    moved = float(np.median(new - previous))
    return figure, (
        f"Most: {_channel(key, shape, worst)} from {previous[worst]:.5g} to {new[worst]:.5g} "
        f"({change.own[worst]:+.1f} σ). Median change of {new.size} channels {moved:+.3g}.{_pulls(key, piece)}"
    )


def _pulls(key: str, piece: Piece) -> str:
    """Mean and width of the changes in units of their statistical errors, where both payloads have them."""
    assert piece.previous is not None
    if key not in piece.e_new or key not in piece.e_previous:
        return ""
    error = np.hypot(piece.e_new[key], piece.e_previous[key]).ravel()
    change = (piece.new.values[key].astype(float) - piece.previous.values[key].astype(float)).ravel()
    pulls = change[error > 0] / error[error > 0]
    if pulls.size < 2:
        return ""
    return f" Statistical pulls: mean {pulls.mean():+.2f}, width {pulls.std(ddof=1):.2f}."


def _without_reference(key: str, piece: Piece) -> tuple[Figure, str]:
    """New constants alone: there were none before, or only nominal ones, drawn as a line."""
    values = piece.new.values[key].astype(float).ravel()
    figure, (axis,) = _rows([2.4])
    legend = [("o", BLUE, "new")]
    if piece.previous is not None and key in piece.changes:
        before = piece.previous.values[key].astype(float).ravel()
        axis.axhline(before[0], color=GREY, lw=1.2, dashes=(4, 3), zorder=1)
        legend.append(("_", GREY, f"nominal {before[0]:.5g}"))
    _points(axis, values, piece.e_new.get(key), BLUE)
    axis.set_ylabel(key)
    axis.set_xlabel("channel")
    _channel_axis(axis, values.size)
    _key(axis, legend)
    spread = f"median {np.median(values):.5g}, from {values.min():.5g} to {values.max():.5g}"
    return figure, f"{values.size} channels: {spread}. Nothing to compare with."


def _flags(key: str, piece: Piece) -> tuple[Figure, str]:
    """A cell per channel: pale = zero, dark = set, red and blue = changed now."""
    assert piece.previous is not None
    new, previous = (it.values[key] for it in (piece.new, piece.previous))
    changed = new != previous
    cells = np.where(changed, np.where(new.astype(bool), 2, 3), np.where(new.astype(bool), 1, 0)).astype(float)
    grid = cells if cells.ndim == 2 else _wrapped(cells.ravel())
    height = float(np.clip(0.35 + grid.shape[0] * 4.4 / max(grid.shape[1], 1), 0.6, 3.2))
    figure, (axis,) = _rows([height])
    colours = mpl.colors.ListedColormap(["#e6eaef", "#5b6676", RED, BLUE])
    axis.imshow(np.ma.masked_invalid(grid), cmap=colours, vmin=-0.5, vmax=3.5, aspect="auto", interpolation="nearest")
    axis.set_xlabel("channel" if cells.ndim != 2 and grid.shape[0] == 1 else "channel, wrapped in rows")
    axis.set_yticks([])
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    _key(axis, [("s", "#5b6676", "set"), ("s", RED, "set now"), ("s", BLUE, "cleared now")])
    return figure, (
        f"{int(np.count_nonzero(new))} of {new.size} set, {int(np.count_nonzero(previous))} before; "
        f"{int(np.count_nonzero(changed))} changed."
    )


def _wrapped(cells: Array) -> Array:
    if cells.size <= 120:
        return cells[None, :]
    columns = int(np.ceil(np.sqrt(cells.size * 4)))
    rows = int(np.ceil(cells.size / columns))
    return np.pad(cells, (0, rows * columns - cells.size), constant_values=np.nan).reshape(rows, columns)


def _single_values(key: str, pieces: list[Piece]) -> tuple[Figure, str]:
    """One number per IoV, with what was valid before."""
    figure, (axis,) = _rows([1.9])
    places = np.arange(len(pieces), dtype=float)
    new = np.array([float(piece.new.values[key].ravel()[0]) for piece in pieces])
    error = np.array([_error(piece.e_new, key) for piece in pieces])
    before = [(i, piece) for i, piece in enumerate(pieces) if piece.previous is not None and key in piece.changes]
    for i, piece in before:
        assert piece.previous is not None
        value, width = float(piece.previous.values[key].ravel()[0]), _error(piece.e_previous, key)
        axis.fill_between([i - 0.4, i + 0.4], value - width, value + width, color=GREY, alpha=0.25, lw=0)
        axis.plot([i - 0.4, i + 0.4], [value, value], color=GREY, lw=1.6)
    axis.errorbar(places, new, error, fmt="o", color=BLUE, ms=5, lw=1.4, capsize=0)
    axis.set_xlim(-0.6, len(pieces) - 0.4)
    axis.set_xticks(places, [piece.first for piece in pieces], rotation=0 if len(pieces) < 5 else 35)
    axis.set_xlabel("first run of the IoV")
    axis.set_ylabel(key)
    axis.margins(y=0.18)
    _key(axis, [("o", BLUE, "new"), *([("_", GREY, "previous")] if before else [])])
    text = f"{new[0]:.6g}{f' ± {error[0]:.2g}' if error[0] else ''}"
    if before and before[0][1].previous is not None:
        text += f", was {float(before[0][1].previous.values[key].ravel()[0]):.6g}"
    return figure, f"{text}{' in the first IoV' if len(pieces) > 1 else ''}."


def _error(known: dict[str, Array], key: str) -> float:
    return float(known[key].ravel()[0]) if key in known else 0.0


# --- measurements ----------------------------------------------------------------------------------------------------


def _of_measurement(item: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "", lambda: _measurement(item["measurement"], item["low"], item["high"])


def _measurement(it: dict[str, Any], low: float | None, high: float | None) -> tuple[Figure, str]:
    """Values with errors over the limits and the previous values."""
    values, unit = np.atleast_1d(np.asarray(it["values"], dtype=float)).ravel(), it.get("unit") or ""
    error = _like(it.get("errors"), values)
    previous = _like(it.get("previous"), values)
    figure, (axis,) = _rows([2.2] if values.size > 1 else [1.5])
    outside = _outside(values, low, high)
    _limits(axis, np.concatenate([values, values if previous is None else previous]), low, high)
    if previous is not None:
        _points(axis, previous, None, GREY, hollow=True)
    _points(axis, values, error, BLUE, marked=outside)
    _channel_axis(axis, values.size)
    axis.set_xlabel(it.get("axis") or ("channel" if values.size > 1 else ""))
    axis.set_ylabel(f"{it['name']} [{unit}]" if unit else it["name"])
    legend = [("o", BLUE, "new")] + ([("o", GREY, "previous")] if previous is not None else [])
    if low is not None or high is not None:
        legend.append(("s", "#bfe0cc", "within the limits"))
    _key(axis, legend)
    measured = values[np.isfinite(values)]
    caption = (
        f"Median {np.median(measured):.5g} {unit}".strip() if measured.size > 1 else f"{measured[0]:.6g} {unit}".strip()
    )
    missing = values.size - measured.size
    return figure, caption + (f"; {missing} of {values.size} not measured." if missing else ".")


def _like(numbers: Any, values: Array) -> Array | None:
    """Numbers for each of the values, one for all repeated; None if there are none or they do not fit."""
    if numbers is None:
        return None
    array = np.asarray(numbers, dtype=float).ravel()
    return np.broadcast_to(array, values.shape) if array.size in (1, values.size) else None


# --- parts of all plots ----------------------------------------------------------------------------------------------


def _rows(heights: list[float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.35 * len(heights)))
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0.16 if len(heights) == 2 else 0.32)
    return figure, [figure.add_subplot(grid[row]) for row in range(len(heights))]


def _points(
    axis: Axes, values: Array, error: Array | None, colour: str, *, hollow: bool = False, marked: Array | None = None
) -> None:
    x = np.arange(values.size)
    many = values.size > MANY_POINTS
    size = float(np.clip(220 / max(values.size, 1), 1.6, 5.0))
    if error is not None and values.size <= 400:
        axis.errorbar(x, values, error.ravel(), fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.55, zorder=2)
    face = "white" if hollow and not many else colour
    axis.plot(x, values, "o", ms=size, color=colour, mfc=face, mew=0.9 if hollow else 0, rasterized=many, zorder=3)
    if marked is not None and marked.any():
        axis.plot(x[marked], values[marked], "o", ms=size + 2.2, color=RED, mew=0, zorder=4)


def _outside(values: Array, low: float | None, high: float | None) -> Array:
    with np.errstate(invalid="ignore"):
        return (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))


def _limits(axis: Axes, values: Array, low: float | None, high: float | None) -> None:
    """The allowed band in green, its edges as lines; the axis shows the values and, if they are near, the edges."""
    seen = values[np.isfinite(values)]
    edges = [edge for edge in (low, high) if edge is not None]
    bottom, top = (min([*seen, *edges]), max([*seen, *edges])) if seen.size or edges else (0.0, 1.0)
    margin = 0.08 * (top - bottom) or abs(top) * 0.1 or 1.0
    axis.set_ylim(bottom - margin, top + margin)
    if edges:
        axis.axhspan(
            bottom - margin if low is None else low, top + margin if high is None else high, color=BAND, lw=0, zorder=0
        )
        for edge in edges:
            axis.axhline(edge, color=GREEN, lw=1.0, dashes=(5, 3), zorder=1)


def _map(axis: Axes, values: Array, most: float) -> None:
    image = axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axis.set_xlabel("column")
    axis.set_ylabel("row")
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    bar = axis.figure.colorbar(image, ax=axis, pad=0.015, fraction=0.04)
    bar.outline.set_visible(False)


def _channel_axis(axis: Axes, n: int) -> None:
    axis.set_xlim(-0.7 if n < 30 else -0.01 * n, n - 0.3 if n < 30 else 1.01 * n)
    axis.xaxis.set_major_locator(MaxNLocator(min(n, 8), integer=True))
    axis.grid(axis="y", color="#e9edf1", lw=0.7)
    axis.set_axisbelow(True)
    if n == 1:
        axis.set_xticks([])


def _key(axis: Axes, entries: list[tuple[str, str, str]]) -> None:
    """What colours mean, in one line above the plot."""
    handles = [
        mpl.lines.Line2D([], [], marker=marker, color=colour, lw=0, ms=5, mfc="white" if text == "previous" else colour)
        for marker, colour, text in entries
    ]
    axis.legend(
        handles,
        [text for _, _, text in entries],
        loc="lower right",
        bbox_to_anchor=(1.0, 0.99),
        ncols=len(entries),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.2,
        borderpad=0.1,
    )


def _channel(key: str, shape: tuple[int, ...], flat: int) -> str:
    return f"{key}[{', '.join(str(int(i)) for i in np.unravel_index(flat, shape))}]"
