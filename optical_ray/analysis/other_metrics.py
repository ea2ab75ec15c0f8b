"""The matrix once more, by every metric that the trials were scored with beside the one that was searched for."""

from __future__ import annotations

import numpy as np

from optical_ray.analysis.effects import Matrix
from optical_ray.analysis.study import ENGLISH_ONLY, Study, baseline_name
from optical_ray.analysis.tables import Column, Table, Value
from optical_ray.study.records import Ledger


def other_metrics(study: Study, cells: Matrix, ledger: Ledger) -> tuple[Table, ...]:
    """The same configurations by every other metric that the trials were scored with."""
    scores = {key: ledger.scores(key).get("test", {}) for system in study.systems for key in system.keys}
    before = ledger.baselines().get(ENGLISH_ONLY, {}).get("test", {})
    metrics = [metric for metric in before if metric != study.metric]
    if not metrics:
        return ()
    rows: list[tuple[Value, ...]] = []
    for metric in metrics:
        rows.append((metric, baseline_name(ENGLISH_ONLY), *(before[metric].get(target) for target in cells.targets)))
        for row, label in enumerate(cells.labels):
            means: list[Value] = []
            for column, target in enumerate(cells.targets):
                chosen = int(cells.chosen[row, column])
                keys = study.systems[chosen].keys if chosen >= 0 else ()
                values = [v for key in keys if (v := scores[key].get(metric, {}).get(target)) is not None]
                means.append(float(np.mean(values)) if values else None)
            rows.append((metric, label, *means))
    columns = [Column("metric", "Metric"), Column("source_set", "Source set")]
    columns += [Column(target, target, 3) for target in cells.targets]
    caption = (
        f"Other metrics of the same configurations (chosen on eval {study.measure}): test split, means over seeds."
    )
    return (Table("metrics", caption, tuple(columns), tuple(rows)),)
