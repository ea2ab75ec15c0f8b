"""The chapter on the search: its history, the importance of parameters, and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optical_ray.languages import language_label
from optical_ray.report.comparisons import Comparison
from optical_ray.report.curves import is_log, levels, varied_numbers
from optical_ray.report.figures import BLUE, INK, Line, layout, lines, rounded
from optical_ray.report.page import Figure, Section
from optical_ray.report.study import EVAL, Study
from optical_ray.report.tables import Column, Table
from optical_ray.statistics.arrays import FloatArray
from optical_ray.study.records import Ledger

FEWEST_CONFIGURATIONS = 8
MOST_FAINT = 30


def search_section(study: Study, ledger: Ledger, chosen: Sequence[Comparison]) -> Section:
    """Return the history of the search, Optuna's parameter importance, and learning curves of the chosen students."""
    figures = [_history(study, ledger)]
    tables: list[Table] = []
    text = ["The objective is the eval score averaged over targets; a configuration's seeds are averaged."]
    shares = importance(study)
    if shares:
        figures.append(_importance_figure(shares))
        rows = tuple(shares.items())
        columns = (Column("parameter", "Parameter"), Column("importance", "importance", 3))
        caption = f"Parameter importance by Optuna, for the eval objective over {len(study.systems)} configurations."
        tables.append(Table("importance", caption, columns, rows))
    else:
        text.append(
            f"Parameter importance is not given: it needs at least {FEWEST_CONFIGURATIONS} configurations and two "
            "parameters that vary."
        )
    learned = [figure for target in study.targets if (figure := _learning(study, ledger, chosen, target)) is not None]
    if not learned:
        text.append("The trials logged no scores during training (evaluation.every), so there are no learning curves.")
    return Section("search", "Search and learning", tuple(text), figures=(*figures, *learned), tables=tuple(tables))


def objective(study: Study) -> FloatArray:
    """Return C eval scores averaged over targets; NaN for a configuration that lacks one."""
    return np.asarray(np.mean([study.eval(target).means for target in study.targets], axis=0))


def _history(study: Study, ledger: Ledger) -> Figure:
    values = objective(study)
    numbers = {record.key: record.number for record in ledger.records}
    first = np.array([min(numbers[key] for key in system.keys) for system in study.systems])
    order = np.argsort(first)
    best = np.fmax.accumulate(values[order])
    data = [
        {"type": "scatter", "mode": "markers", "name": "configuration", "x": first[order].tolist(),
         "y": rounded(values[order]), "text": [study.systems[index].label for index in order],
         "marker": {"color": BLUE, "size": 7, "opacity": 0.75}, "hovertemplate": "%{text}: %{y:.4f}<extra></extra>"},
        {"type": "scatter", "mode": "lines", "name": "best so far", "x": first[order].tolist(), "y": rounded(best),
         "line": {"color": INK, "width": 1.5, "shape": "hv"}, "hoverinfo": "skip"},
    ]  # fmt: skip
    spec = {"data": data, "layout": layout("first trial", f"eval {study.measure}, all targets", showlegend=True)}
    num = len(study.systems)
    caption = f"Eval split, mean over {len(study.targets)} targets and seeds; {num} configurations."
    return Figure("history", "History of the search", caption, spec)


def importance(study: Study) -> Mapping[str, float]:
    """Return Optuna's parameter importances for the eval objective; each language is a yes-or-no parameter.

    Empty if there are fewer than eight configurations or two parameters that vary. Only this function imports Optuna.
    """
    values = objective(study)
    usable = [index for index in range(len(study.systems)) if np.isfinite(values[index])]
    table = _parameters(study, usable)
    if len(usable) < FEWEST_CONFIGURATIONS or len(table) < 2 or np.ptp(values[usable]) == 0:
        return {}
    import optuna

    distributions: dict[str, Any] = {}
    for name, column in table.items():
        numeric = all(isinstance(value, float) for value in column)
        log = numeric and is_log(np.array(sorted(set(column))))
        distributions[name] = (
            optuna.distributions.FloatDistribution(min(column), max(column), log=log)
            if numeric
            else optuna.distributions.CategoricalDistribution(sorted(set(column)))
        )
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    memory = optuna.create_study(direction="maximize")
    for row, index in enumerate(usable):
        params = {name: column[row] for name, column in table.items()}
        memory.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=float(values[index]))
        )
    importances = optuna.importance.get_param_importances(
        memory, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    optuna.logging.set_verbosity(level)
    return {name: float(value) for name, value in importances.items()}


def _parameters(study: Study, usable: Sequence[int]) -> dict[str, list[Any]]:
    """Columns over configurations: yes or no per language, searched numbers, the variant; only those that vary."""
    systems = [study.systems[index] for index in usable]
    table: dict[str, list[Any]] = {
        f"source {language_label(language)}": ["yes" if language in system.sources else "no" for system in systems]
        for language in study.languages
    }
    for name in varied_numbers(study):
        column = [system.params.get(name) for system in systems]
        if all(value is not None for value in column) and len(levels(study, name)) > 1:
            table[name.rsplit(".", 1)[-1]] = [float(value) for value in column if value is not None]
    table["variant"] = [system.variant for system in systems]
    return {name: column for name, column in table.items() if len(set(column)) > 1}


def _importance_figure(shares: Mapping[str, float]) -> Figure:
    names = sorted(shares, key=lambda name: shares[name])
    data = [
        {"type": "bar", "orientation": "h", "x": rounded([shares[name] for name in names]), "y": names,
         "marker": {"color": BLUE}, "hovertemplate": "%{y}: %{x:.3f}<extra></extra>"}
    ]  # fmt: skip
    spec = {"data": data, "layout": layout("importance", "", height=110 + 26 * len(names))}
    caption = (
        "Optuna's fANOVA on the eval objective; each source language is a yes-or-no parameter. This is not a test."
    )
    return Figure("importance", "Importance of parameters", caption, spec)


def _learning(study: Study, ledger: Ledger, chosen: Sequence[Comparison], target: str) -> Figure | None:
    """Eval score over steps: chosen configurations in bold, others faint."""
    picked = [item for item in chosen if item.target == target]
    drawn: list[Line] = []
    others = [index for index in range(len(study.systems)) if index not in {item.system for item in picked}]
    for index in others[:MOST_FAINT]:
        curve = _steps(study, ledger, study.systems[index].keys[:1], target)
        if curve is not None:
            drawn.append(Line(study.systems[index].label, *curve, faint=True))
    for item in picked:
        curve = _steps(study, ledger, study.systems[item.system].keys, target)
        if curve is not None:
            drawn.append(Line(item.label, *curve))
    if not any(not line.faint for line in drawn):
        return None
    spec = lines(drawn, "step", f"eval {study.measure}", height=280)
    caption = f"Eval split; bold: chosen, mean over seeds; grey: first seed of {len(others[:MOST_FAINT])} others."
    return Figure(f"learning-{target}", f"{study.target_labels[target]}: learning", caption, spec)


def _steps(study: Study, ledger: Ledger, keys: Sequence[str], target: str) -> tuple[FloatArray, FloatArray] | None:
    """(steps, mean score) at the steps for which all ``keys`` logged a score."""
    names = (f"{study.metric}/{target}", f"{EVAL}/{study.metric}/{target}")
    tables = []
    for key in keys:
        rows = ((row["step"], row.get(names[0], row.get(names[1]))) for row in ledger.rows(key))
        tables.append({step: value for step, value in rows if value is not None})
    shared = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    if len(shared) < 2:
        return None
    means = [float(np.mean([table[step] for table in tables])) for step in shared]
    return np.array(shared, dtype=np.float64), np.array(means)
