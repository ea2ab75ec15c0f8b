"""Static images for papers and the README: heat map, forest plot and epsilon curve as PNG, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optical_ray.report.comparisons import Comparison, compare
from optical_ray.report.curves import Curve
from optical_ray.report.load import load_study
from optical_ray.report.matrix import Matrix, matrix
from optical_ray.report.study import Study

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DPI = 160
BLUE, GREY, INK = "#2f7fc1", "#8d8d86", "#1d2430"


def heatmap_png(study_folder: Path, path: Path, metric: str | None = None) -> None:
    """Write the source set x target matrix of ``metric`` (the objective if ``None``) as a PNG.

    Raises ``InputError`` as ``load_study`` does.
    """
    study = load_study(study_folder, metric)
    cells = matrix(study)
    save(heatmap(study, cells, compare(study, cells)), path)


def save(figure: Figure, path: Path) -> None:
    """Write an image at 160 dpi without a date, so that the same numbers give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, metadata={"Software": None}, facecolor="white", bbox_inches="tight")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # imported here because it is slow to import

    return Figure(figsize=(width, height))


def heatmap(study: Study, cells: Matrix, family: Sequence[Comparison]) -> Figure:
    """Draw the gain over English-only as colour and the score as text; stars as on the page, chosen sets in bold."""
    gains = np.full((1 + len(cells.labels), len(cells.targets)), np.nan)
    texts: dict[tuple[int, int], tuple[str, bool]] = {}
    rows = {label: 1 + row for row, label in enumerate(cells.labels)}
    columns = {target: column for column, target in enumerate(cells.targets)}
    for item in family:
        row, column = rows[item.label], columns[item.target]
        gains[row, column] = item.gain
        marks = ("**" if item.robust else "*" if item.significant else "") + ("°" if item.own else "")
        texts[row, column] = f"{item.mean:.3f}{marks}", cells.best(column) == row - 1
        texts[0, column] = f"{item.baseline:.3f}", False
    scale = float(np.nanmax(np.abs(gains))) or 1.0
    width = 1.6 + 0.09 * max(len(study.short_label(label)) for label in cells.labels) + 0.85 * len(cells.targets)
    figure = _figure(width, 1.2 + 0.34 * len(gains))
    axes = figure.add_subplot()
    image = axes.imshow(gains, cmap=_diverging(), vmin=-scale, vmax=scale, aspect="auto")
    for (row, column), (text, best) in texts.items():
        dark = abs(np.nan_to_num(gains[row, column])) > 0.55 * scale
        weight, colour = "bold" if best else "normal", "white" if dark else INK if row else GREY
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
    axes.set_xticks(
        range(len(cells.targets)), [study.target_labels[target].replace(" (", "\n(") for target in cells.targets]
    )
    axes.set_yticks(range(len(gains)), ["English-only", *(study.short_label(label) for label in cells.labels)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    bar.set_label(f"gain in {study.measure} over English-only", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    note = (
        f"test {study.measure}; * Holm p < .05 (these seeds), ** with seeds as a level too,\n"
        "° the target's own language is a source (supervision), bold: chosen on eval"
    )
    axes.annotate(note, (0, 0), (0, -6), "axes fraction", "offset points", va="top", fontsize=6.5, color="#5c6470")
    return figure


def _diverging() -> Colormap:
    """The page's colours: orange for losses, white, blue for gains; colour-blind readers can tell them apart."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gain", ["#b35806", "#f1a340", "#ffffff", "#6aaede", "#0b4f8a"])


def forest(study: Study, family: Sequence[Comparison]) -> Figure:
    """Draw gains with their intervals: a panel per target, the best twelve sets in each."""
    targets = [target for target in study.targets if any(item.target == target for item in family)]
    groups = [
        sorted((item for item in family if item.target == target), key=lambda item: item.gain)[-12:]
        for target in targets
    ]
    per_row = min(3, len(targets))
    num_rows = -(-len(targets) // per_row)
    figure = _figure(4.0 * per_row, num_rows * (0.9 + 0.24 * max(map(len, groups))))
    for index, (target, items) in enumerate(zip(targets, groups, strict=True)):
        axes = figure.add_subplot(num_rows, per_row, index + 1)
        for height, item in enumerate(items):
            colour = BLUE if item.significant else GREY
            axes.plot([item.interval.low, item.interval.high], [height, height], color=colour, lw=1.6)
            axes.plot(item.gain, height, "o", color=colour, mfc=colour if item.significant else "white", ms=5)
        axes.axvline(0, color=INK, lw=0.8, ls=":")
        axes.set_yticks(
            range(len(items)),
            [study.short_label(item.label) + (" °" if item.own else "") for item in items],
            fontsize=7,
        )
        axes.tick_params(axis="x", labelsize=7)
        axes.set_title(study.target_labels[target], fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel(f"gain in {study.measure} over English-only, 95 % CI", fontsize=7)
    figure.tight_layout()
    return figure


def parameter_curve(study: Study, curves: Sequence[Curve]) -> Figure:
    """Draw the score against a number (epsilon) with its band, a panel per target."""
    per_row = min(3, len(curves))
    num_rows = -(-len(curves) // per_row)
    figure = _figure(3.4 * per_row, 2.5 * num_rows)
    for index, curve in enumerate(curves):
        axes = figure.add_subplot(num_rows, per_row, index + 1)
        axes.fill_between(curve.x, curve.low, curve.high, color=BLUE, alpha=0.2, lw=0)
        axes.plot(curve.x, curve.y, "o-", color=BLUE, ms=4, lw=1.6)
        axes.axhline(curve.baseline, color=INK, lw=0.8, ls=":")
        if curve.log:
            axes.set_xscale("log")
        axes.set_title(study.target_labels[curve.target], fontsize=10, loc="left")
        axes.set_xlabel(curve.parameter, fontsize=7)
        axes.set_ylabel(f"test {study.measure}", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
