"""Draws the plots of a report. Runs in a process apart: see `core.apart`."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from b2cal.calibration.payload import Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation import axes
from b2cal.validation.axes import BEFORE, BEFORE_AS_LINE, BLUE, GREY, NEW, OUTSIDE, RED, WITHIN, Array, Edges, written
from b2cal.validation.comparison import Comparison, Manner, compare_payloads, errors

_ANY = IoV(ExpRun(0, 0), None)
_FLAG_COLOURS = ["#cfd6de", "#5b6676", RED, BLUE]
_FLAG_WORDS = ["zero", "set", "set now", "cleared now"]

Plot = tuple[str, Callable[[], tuple[Figure, str]]]
"""A key of a payload, empty for a measurement, and what draws it: gives the figure and a caption."""


def handle(item: dict[str, Any]) -> list[dict[str, str]]:
    """Draw the plots of a payload (`pieces`) or of a `measurement` into files of a folder.

    Returns:
        For each plot its `key` and either `file` with `caption`, or `error`.
    """
    results = []
    for key, draw in _of_payload(item) if "pieces" in item else _of_measurement(item):
        file = f"{item['stem']}{'_' if key else ''}{key}.svg"
        try:
            figure, caption = draw()
            axes.save(figure, str(Path(item["folder"]) / file))
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

    def before(self, key: str) -> Array | None:
        """The previous array, if it can be compared."""
        return self.previous.values[key] if self.previous is not None and key in self.changes else None

    def worst(self, key: str) -> float:
        """The largest own change of an array."""
        change = self.changes.get(key)
        return 0.0 if change is None else float(np.max(np.abs(change.own), initial=0.0))


def _of_payload(item: dict[str, Any]) -> Iterator[Plot]:
    pieces = [Piece(piece) for piece in item["pieces"]]
    for key in (key for key, array in pieces[0].new.values.items() if array.size):
        low, high = item["limits"].get(key, (None, None))
        having = [piece for piece in pieces if key in piece.new.values]
        yield key, partial(_constants, key, having, (low, high))


def _constants(key: str, pieces: list[Piece], edges: Edges) -> tuple[Figure, str]:
    if pieces[0].new.values[key].size == 1:
        return _single_values(key, pieces)
    piece = max(pieces, key=lambda piece: piece.worst(key))
    new, previous, change = piece.new.values[key], piece.before(key), piece.changes.get(key)
    of_several = f"{piece.iov}, the IoV that changed most of {len(pieces)}. " if len(pieces) > 1 else ""
    if previous is not None and (new.dtype.kind == "b" or piece.changes[key].manner is Manner.FLAGS):
        figure, caption = _flags(new, previous)
    elif previous is None or change is None or change.manner is not Manner.NUMBERS:
        figure, caption = _without_reference(key, new, previous, piece.e_new.get(key))
    else:
        figure, caption = _changed_channels(key, piece, change, edges)
    return figure, of_several + caption


def _changed_channels(key: str, piece: Piece, change: Comparison, edges: Edges) -> tuple[Figure, str]:
    """New over previous, below it the own change of each channel with its limits; a map if channels have rows."""
    assert piece.previous is not None
    shape = piece.new.values[key].shape
    new, previous = (it.values[key].astype(float).ravel() for it in (piece.new, piece.previous))
    outside = axes.are_outside(change.own, edges)
    mapped = len(shape) == 2 and min(shape) > 2
    figure, (above, below, *its_map) = axes.rows([2.2, 1.5, 1.2] if mapped else [2.2, 1.5])
    axes.points(above, previous, piece.e_previous.get(key), GREY, hollow=True)
    axes.points(above, new, piece.e_new.get(key), BLUE, marked=outside)
    axes.limits(below, change.own, edges)
    axes.points(below, change.own, None, BLUE, marked=outside)
    above.set_ylabel(key)
    below.set_ylabel("own change [σ]")
    for axis in (above, below):
        axes.channels(axis, new.size)
    above.tick_params(labelbottom=False)
    below.set_xlabel("channel")
    axes.key(above, [NEW, BEFORE, *([OUTSIDE] if outside.any() else [])])
    axes.distribution(above, [(previous, GREY), (new, BLUE)])
    axes.distribution(below, [(change.own, BLUE)])
    axes.number_outside(below, change.own, outside)
    if mapped:
        most = max([abs(edge) for edge in edges if edge is not None], default=float(np.max(np.abs(change.own))))
        axes.coloured_map(its_map[0], change.own.reshape(shape), most or 1.0)
    worst = int(np.argmax(np.abs(change.own)))
    return figure, (
        f"Most: {axes.channel(key, shape, worst)} from {written(previous[worst])} to {written(new[worst])} "
        f"({written(change.own[worst], '+.1f')} σ). Median change of {new.size} channels "
        f"{written(np.median(new - previous), '+.3g')}.{_pulls(key, piece)}"
    )


def _pulls(key: str, piece: Piece) -> str:
    """Mean and width of the changes in units of their statistical errors, where both payloads have them."""
    previous = piece.before(key)
    if previous is None or key not in piece.e_new or key not in piece.e_previous:
        return ""
    error = np.hypot(piece.e_new[key], piece.e_previous[key]).ravel()
    change = (piece.new.values[key].astype(float) - previous.astype(float)).ravel()
    pulls = change[error > 0] / error[error > 0]
    if pulls.size < 2:
        return ""
    return f" Statistical pulls: mean {written(pulls.mean(), '+.2f')}, width {pulls.std(ddof=1):.2f}."


def _without_reference(key: str, new: Array, previous: Array | None, error: Array | None) -> tuple[Figure, str]:
    """New constants where changes are not judged: there were none before, nominal ones (a line), or counts."""
    values = new.astype(float).ravel()
    figure, (axis,) = axes.rows([2.3])
    entries = [NEW]
    if previous is not None and np.all(previous == previous.flat[0]):
        axis.axhline(float(previous.flat[0]), color=GREY, lw=1.2, dashes=(4, 3), zorder=1)
        entries.append(("_", GREY, f"nominal {written(previous.flat[0])}"))
    elif previous is not None:
        axes.points(axis, previous.astype(float).ravel(), None, GREY, hollow=True)
        entries.append(BEFORE)
    axes.points(axis, values, error, BLUE)
    axis.set_ylabel(key)
    axis.set_xlabel("channel")
    axes.channels(axis, values.size)
    axes.key(axis, entries)
    axes.distribution(axis, [(values, BLUE)])
    spread = f"median {written(np.median(values))}, from {written(values.min())} to {written(values.max())}"
    return figure, f"{values.size} channels: {spread}. Changes are not judged."


def _flags(new: Array, previous: Array) -> tuple[Figure, str]:
    """A cell per channel: pale = zero, dark = set, red and blue = changed now."""
    changed, is_set = new != previous, new.astype(bool)
    cells = np.where(changed, np.where(is_set, 2, 3), np.where(is_set, 1, 0)).astype(float)
    grid = cells if cells.ndim == 2 else _wrapped(cells.ravel())
    figure, (axis,) = axes.rows([float(np.clip(grid.shape[0] * 4.4 / grid.shape[1], 0.4, 3.0))])
    axis.imshow(
        np.ma.masked_invalid(grid),
        cmap=ListedColormap(_FLAG_COLOURS),
        vmin=-0.5,
        vmax=3.5,
        aspect="auto",
        interpolation="nearest",
    )
    axis.set_xlabel("channel" if cells.ndim == 2 or grid.shape[0] == 1 else "channel, wrapped in rows")
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.key(axis, [("s", _FLAG_COLOURS[i], _FLAG_WORDS[i]) for i in range(4) if np.any(cells == i)])
    counts = f"{np.count_nonzero(new)} of {new.size} set, {np.count_nonzero(previous)} before"
    return figure, f"{counts}; {np.count_nonzero(changed)} changed."


def _wrapped(cells: Array) -> Array:
    if cells.size <= 120:
        return cells[None, :]
    columns = int(np.ceil(np.sqrt(cells.size * 4)))
    n_rows = int(np.ceil(cells.size / columns))
    return np.pad(cells, (0, n_rows * columns - cells.size), constant_values=np.nan).reshape(n_rows, columns)


def _single_values(key: str, pieces: list[Piece]) -> tuple[Figure, str]:
    """One number per IoV with what was valid before: over the IoVs, or lying if there is only one."""
    new = [float(piece.new.values[key].ravel()[0]) for piece in pieces]
    error = [_error(piece.e_new, key) for piece in pieces]
    before = [None if (it := piece.before(key)) is None else float(it.ravel()[0]) for piece in pieces]
    width = [_error(piece.e_previous, key) for piece in pieces]
    figure, (axis,) = axes.rows([0.45] if len(pieces) == 1 else [1.9])
    if len(pieces) == 1:
        axes.lying(axis, new[0], error[0], before[0], width[0])
        axis.set_xlabel(key)
    else:
        for i, value in enumerate(before):
            if value is not None:
                ends = [i - 0.4, i + 0.4]
                axis.fill_between(ends, value - width[i], value + width[i], color=GREY, alpha=0.25, lw=0)
                axis.plot(ends, [value, value], color=GREY, lw=1.6)
        axis.errorbar(range(len(new)), new, error, fmt="o", color=BLUE, ms=5, lw=1.4)
        axis.set_xlim(-0.6, len(pieces) - 0.4)
        shown = range(0, len(pieces), max(1, len(pieces) // 7))
        axis.set_xticks(list(shown), [pieces[i].first for i in shown])
        axis.set_xlabel("first run of the IoV")
        axis.set_ylabel(key)
        axis.margins(y=0.18)
    axes.key(axis, [NEW] if before[0] is None else [NEW, BEFORE_AS_LINE])
    text = f"{_with_error(new[0], error[0])}{'' if before[0] is None else f', was {_with_error(before[0], width[0])}'}"
    return figure, f"{text}{' in the first IoV' if len(pieces) > 1 else ''}."


def _error(known: dict[str, Array], key: str) -> float:
    return float(known[key].ravel()[0]) if key in known else 0.0


def _with_error(value: float, error: float) -> str:
    return written(value, ".6g") + (f" ± {error:.2g}" if error else "")


# --- measurements ----------------------------------------------------------------------------------------------------


def _of_measurement(item: dict[str, Any]) -> Iterator[Plot]:
    yield "", partial(_measurement, item["measurement"], (item["low"], item["high"]))


def _measurement(it: dict[str, Any], edges: Edges) -> tuple[Figure, str]:
    """Values with errors over the limits and the previous values."""
    values = np.asarray(it["values"], dtype=float).ravel()
    error, previous = _like(it.get("errors"), values), _like(it.get("previous"), values)
    unit = it.get("unit") or ""
    if values.size == 1:
        figure, caption = _number(values, error, previous, unit, edges)
        figure.axes[0].set_xlabel(unit)
        return figure, caption
    figure, (axis,) = axes.rows([2.2])
    outside = axes.are_outside(values, edges)
    with_errors = [] if error is None or values.size > axes.WITH_ERRORS else [values - error, values + error]
    axes.limits(axis, np.concatenate([values, *([] if previous is None else [previous]), *with_errors]), edges)
    if previous is not None:
        axes.points(axis, previous, None, GREY, hollow=True)
    axes.points(axis, values, error, BLUE, marked=outside)
    axes.channels(axis, values.size)
    axis.set_xlabel(it.get("axis") or "channel")
    axis.set_ylabel(unit)
    axes.distribution(axis, [(values, BLUE)])
    axes.number_outside(axis, values, outside)
    axes.key(axis, _entries(edges, [] if previous is None else [BEFORE]))
    measured = values[np.isfinite(values)]
    spread = f"from {written(measured.min())} to {written(measured.max())} {unit}".rstrip()
    missing = values.size - measured.size
    note = f" {missing} of {values.size} not measured." if missing else ""
    return figure, f"{values.size} channels: median {written(np.median(measured))}, {spread}.{note}"


def _number(values: Array, error: Array | None, previous: Array | None, unit: str, edges: Edges) -> tuple[Figure, str]:
    figure, (axis,) = axes.rows([0.45])
    value, width = float(values[0]), 0.0 if error is None else float(error[0])
    before = None if previous is None else float(previous[0])
    seen = [value - width, value + width, *([] if before is None else [before])]
    axes.lying(axis, value, width, before, 0.0)
    axes.lying_limits(axis, np.array(seen), edges)
    axes.key(axis, _entries(edges, [] if before is None else [BEFORE_AS_LINE]))
    was = "" if before is None else f", was {written(before, '.6g')}"
    return figure, f"{_with_error(value, width)} {unit}".rstrip() + f"{was}."


def _entries(edges: Edges, before: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [NEW, *before, *([] if edges == (None, None) else [WITHIN])]


def _like(numbers: Any, values: Array) -> Array | None:
    """A number for each of the values, a single one repeated; None if there are none or they do not fit."""
    if numbers is None:
        return None
    array = np.asarray(numbers, dtype=float).ravel()
    return np.broadcast_to(array, values.shape) if array.size in (1, values.size) else None
