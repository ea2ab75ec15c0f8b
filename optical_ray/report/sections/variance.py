"""The chapter on variance shares and the stability of the order of source sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optical_ray.report.curves import is_log, levels, varied_numbers
from optical_ray.report.figures import BLUE, layout, rounded
from optical_ray.report.page import Figure, Section
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, Value
from optical_ray.statistics.arrays import FloatArray, nan_mean
from optical_ray.statistics.variance import (
    TOPIC_BY_SYSTEM,
    Decomposition,
    Factor,
    Stability,
    decompose,
    dummies,
    stability,
)

LARGE = ("topic", "target", TOPIC_BY_SYSTEM)


def variance_section(study: Study) -> Section | None:
    """Return variance shares and rank stability; None for a single run."""
    shares = variance_shares(study)
    if shares is None:
        return None
    text = [
        "Shares of the total sum of squares of per-topic test scores. A share is not corrected for noise, so factors "
        "with many degrees of freedom absorb some.",
    ]
    if not shares.balanced:
        text.append(
            "The design is not balanced: factors are fitted in the order shown, and what two of them share is credited "
            "to the first."
        )
    if len(study.seeds) == 1:
        text.append("One seed: the variance between seeds cannot be told from that between configurations.")
    columns = (Column("source", "Source"), Column("share", "share of sum of squares", 4), Column("freedom", "d.f.", 0))
    rows = tuple((item.name, item.share, item.freedom) for item in shares.components)
    caption = (
        f"Variance shares: test split, {shares.num_runs} runs × {len(study.targets)} targets, targets weigh equally."
    )
    tables = [Table("variance", caption, columns, rows)]
    ranks = rank_stability(study)
    if ranks:
        tables.append(_stability_table(study, ranks))
    return Section("variance", "Sources of variance", tuple(text), figures=(_figure(shares),), tables=tuple(tables))


def variance_shares(study: Study) -> Decomposition | None:
    """Decompose the test scores of the runs that are scored on every target; None for fewer than two."""
    complete = np.all([~np.isnan(study.test(target).seed_means) for target in study.targets], axis=0)
    runs = [(int(system), int(seed)) for system, seed in np.argwhere(complete)]
    if len(runs) < 2:
        return None
    blocks = [np.stack([study.test(target).values[run] for run in runs]) for target in study.targets]
    return decompose(blocks, _factors(study, [system for system, _ in runs]))


def _factors(study: Study, runs: Sequence[int]) -> list[Factor]:
    """What is fitted, in order: source set, variant, numbers, and what else tells configurations apart."""
    systems = [study.systems[system] for system in runs]
    factors = [Factor("source set", dummies(["+".join(system.sources) for system in systems]))]
    if len({system.variant for system in systems}) > 1:
        factors.append(Factor("variant", dummies([system.variant for system in systems])))
    for name in varied_numbers(study):
        values = [system.params.get(name) for system in systems]
        factors.append(Factor(name.rsplit(".", 1)[-1], _number(values, levels(study, name), len(study.systems))))
    factors.append(Factor("configuration (rest)", dummies([str(system) for system in runs]), nested=True))
    return factors


def _number(values: Sequence[object], known: FloatArray, num_systems: int) -> FloatArray:
    """Dummies for a grid; a quadratic (in the logarithm over a wide range) for a continuous search."""
    if len(known) <= max(2, num_systems // 3):
        return dummies([str(value) for value in values])
    numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)
    numbers = np.where(np.isnan(numbers), np.nanmean(numbers), numbers)
    x = np.log(numbers) if is_log(known) else numbers
    x = (x - x.mean()) / (x.std() or 1.0)
    return np.stack([x, x**2], axis=1)


def rank_stability(study: Study) -> dict[tuple[str, str], Stability]:
    """Return the stability of the order of source sets by target and factor (each searched number, and seed)."""
    ranks: dict[tuple[str, str], Stability | None] = {}
    labels = sorted({system.label for system in study.systems})
    for target in study.targets:
        seed_means = study.test(target).seed_means
        for name in varied_numbers(study):
            table = _by_level(study, labels, nan_mean(seed_means, axis=1), name)
            ranks[target, name.rsplit(".", 1)[-1]] = stability(table)
        if len(study.seeds) > 1:
            members = [[i for i, system in enumerate(study.systems) if system.label == label] for label in labels]
            ranks[target, "seed"] = stability(np.stack([seed_means[indices].mean(axis=0) for indices in members]))
    return {key: item for key, item in ranks.items() if item is not None}


def _by_level(study: Study, labels: Sequence[str], means: FloatArray, name: str) -> FloatArray:
    """Source sets x levels: the mean over configurations, NaN if none was trained."""
    known = levels(study, name).tolist()
    cells: dict[tuple[int, int], list[float]] = {}
    for index, system in enumerate(study.systems):
        value = system.params.get(name)
        if value in known and not np.isnan(means[index]):
            cells.setdefault((labels.index(system.label), known.index(value)), []).append(float(means[index]))
    table = np.full((len(labels), len(known)), np.nan)
    for cell, values in cells.items():
        table[cell] = np.mean(values)
    return table


def _figure(shares: Decomposition) -> Figure:
    items = [item for item in shares.components if item.name not in LARGE]
    large = {item.name: item.share for item in shares.components if item.name in LARGE}
    data = [
        {"type": "bar", "orientation": "h", "x": rounded([item.share for item in items][::-1]),
         "y": [item.name for item in items][::-1], "marker": {"color": BLUE},
         "hovertemplate": "%{y}: %{x:.4f}<extra></extra>"}
    ]  # fmt: skip
    rest = ", ".join(f"{name} {large[name]:.1%}" for name in LARGE if name in large)
    caption = f"Test split, {shares.num_runs} runs. Not drawn because they are far larger: {rest}."
    spec = {"data": data, "layout": layout("share of sum of squares", "", height=110 + 30 * len(items))}
    return Figure("variance", "How much each choice changes the score", caption, spec, wide=True)


def _stability_table(study: Study, ranks: dict[tuple[str, str], Stability]) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels), Column("over", "over"), Column("levels", "levels", 0),
        Column("source_sets", "source sets", 0), Column("tau_mean", "mean τ", 2, sign=True),
        Column("tau_lowest", "lowest τ", 2, sign=True),
    )  # fmt: skip
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (target, over, item.num_levels, item.num_systems, item.mean, item.lowest)
        for (target, over), item in ranks.items()
    )
    caption = (
        "Rank stability of source sets: Kendall's τ between every two levels, test split; 1 means the same order, 0 "
        "no association."
    )
    return Table("stability", caption, columns, rows)
