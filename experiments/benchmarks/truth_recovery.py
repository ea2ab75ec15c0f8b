"""Does the report recover a planted truth? Simulated studies: coverage, false positives, power.

    python experiments/benchmarks/truth_recovery.py --studies 2000
    python experiments/benchmarks/truth_recovery.py --studies 2000 --only "false_positives: 3 seeds, seed sd 0.01"

Each setting simulates studies of three source sets (de, fr, de+fr) on two targets. Coverage is that of the report's
95 % interval: of one cell fixed beforehand (fr on sw), of the cell chosen on eval, and of the fixed cell against a
control. Studies are independent, so the binomial interval is exact (Clopper-Pearson). Family-wise false positives are
counted for students that are exactly null for their population of topics: that is the null hypothesis which the report
declares (conditional on the trained seeds and the shared teacher). With groups, topics have the sizes of MTOP's intents
and the differences of one intent are correlated by 0.5.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from optical_ray.report.comparisons import compare
from optical_ray.report.games import games, solve
from optical_ray.report.matrix import matrix
from optical_ray.report.study import Study
from tests.report.planted import Planted, plant

NUM_TOPICS = 400
GAIN = 0.02
RESAMPLES = 9_999
SEED_SDS = (0.005, 0.01, 0.02)

MTOP_INTENTS = (
    *(45, 30, 25, 14, 14, 13, 13, 10, 8, 8, 8, 7, 6, 5),
    *(4,) * 6,
    *(3,) * 6,
    *(2,) * 6,
    *(1,) * 21,
)
"""Utterances per intent in the six-way parallel part of MTOP's dev set: 281 in 53 intents, 16.2 effective."""

GROUP_CORRELATION = 0.5


def binomial(hits: int, count: int) -> list[float]:
    """Return a rate and its exact 95 % interval."""
    interval = stats.binomtest(hits, count).proportion_ci(0.95)
    return [round(hits / count, 4), round(float(interval.low), 4), round(float(interval.high), 4)]


def planted(num_seeds: int, seed_sd: float, gain: float) -> Planted:
    """Return a truth in which fr helps sw by ``gain``, with or without de, and nothing else helps."""
    effects = {"de": {"sw": 0.0, "so": 0.0}, "fr": {"sw": gain, "so": 0.0}}
    return Planted(
        effects, num_topics=NUM_TOPICS, num_seeds=num_seeds, seed_sd=seed_sd, gain_sd=0.1, noise_sd=0.08, topic_sd=0.25
    )


def grouped(num_seeds: int, gain: float) -> Planted:
    """Return the same truth with topics in groups of the sizes of MTOP's intents."""
    truth = planted(num_seeds, 0.0, gain)
    variance = truth.gain_sd**2
    correlation = GROUP_CORRELATION * (variance + truth.noise_sd**2 / num_seeds) / variance
    sizes = MTOP_INTENTS
    return replace(truth, num_topics=sum(sizes), group_sizes=sizes, group_correlation=correlation)


def without_groups(study: Study) -> Study:
    """Return the study as if its topics were independent."""
    return replace(study, panels={key: replace(panel, groups=None) for key, panel in study.panels.items()})


def coverage(truth: Planted, num_studies: int) -> dict[str, Any]:
    """Return how often intervals contain the truth, and how often the planted gain is found."""
    gain = truth.truth(("fr",), "sw")
    names = ("fixed", "fixed_own_variance", "chosen", "control", "bootstrap", "shapley", "power", "power_robust")
    hits = dict.fromkeys((*names, "right_set"), 0)
    widths, worst = [], 0.0
    for seed in range(num_studies):
        study = plant(truth, seed=seed, control=True)
        cells = matrix(study)
        family = compare(study, cells, num_resamples=RESAMPLES)
        by_cell = {(item.target, item.label): item for item in family}
        fixed = by_cell["sw", "fr"]
        hits["fixed"] += fixed.interval.low <= gain <= fixed.interval.high
        hits["bootstrap"] += fixed.bootstrap[0] <= gain <= fixed.bootstrap[1]
        hits["power"] += fixed.significant
        hits["power_robust"] += fixed.robust
        widths.append(fixed.interval.high - fixed.interval.low)
        only = {("sw", "fr")}
        [own] = compare(study, cells, only=only, pooled=False, num_resamples=99)
        hits["fixed_own_variance"] += own.interval.low <= gain <= own.interval.high
        [control] = compare(study, cells, baseline="shuffled", only=only, num_resamples=99)
        hits["control"] += control.interval.low <= gain <= control.interval.high
        chosen = by_cell["sw", cells.labels[cells.best(0)]]
        expected = truth.truth(chosen.sources, "sw")
        hits["chosen"] += chosen.interval.low <= expected <= chosen.interval.high
        hits["right_set"] += "fr" in chosen.sources
        [solution] = solve(tuple(game for game in games(study, cells) if game.target == "sw"))[0]
        share = next(share for share in solution.values if share.players == ("fr",))
        hits["shapley"] += share.interval.low <= gain <= share.interval.high
        worst = max(worst, solution.efficiency_error)
    rates = {name: binomial(count, num_studies) for name, count in hits.items()}
    return {"studies": num_studies, **rates, "mean_width": round(float(np.mean(widths)), 4), "efficiency_error": worst}


def false_positives(truth: Planted, num_studies: int) -> dict[str, Any]:
    """Return family-wise false positives; ``ignoring_groups`` treats topics as independent."""
    hits = dict.fromkeys(("holm", "robust", *(("ignoring_groups",) if truth.group_sizes else ())), 0)
    p_values = []
    for seed in range(num_studies):
        study = plant(truth, seed=10_000 + seed)
        cells = matrix(study)
        family = compare(study, cells, num_resamples=RESAMPLES)
        hits["holm"] += any(item.significant for item in family)
        hits["robust"] += any(item.robust for item in family)
        p_values.append(family[0].p)
        if truth.group_sizes:
            topics = compare(without_groups(study), cells, num_resamples=RESAMPLES)
            hits["ignoring_groups"] += any(item.significant for item in topics)
    uniform = stats.kstest(p_values, "uniform")
    rates: dict[str, Any] = {name: binomial(count, num_studies) for name, count in hits.items()}
    return {
        "studies": num_studies,
        **rates,
        "p_uniform_ks": [round(float(uniform.statistic), 4), round(float(uniform.pvalue), 4)],
    }


def settings() -> dict[str, tuple[str, Planted]]:
    """Return the settings by name: what is counted, and the truth."""
    groups = f"{sum(MTOP_INTENTS)} topics in {len(MTOP_INTENTS)} groups, correlation {GROUP_CORRELATION}"
    named: dict[str, tuple[str, Planted]] = {}
    for num_seeds in (3, 5):
        for seed_sd in SEED_SDS:
            truth = planted(num_seeds, seed_sd, GAIN)
            named[f"coverage: {num_seeds} seeds, seed sd {seed_sd}"] = ("coverage", truth)
        for seed_sd in (0.0, 0.01):
            truth = planted(num_seeds, seed_sd, 0.0)
            named[f"false_positives: {num_seeds} seeds, seed sd {seed_sd}"] = ("false_positives", truth)
    named[f"coverage: 3 seeds, {groups}"] = ("coverage", grouped(3, GAIN))
    named[f"false_positives: 3 seeds, {groups}"] = ("false_positives", grouped(3, 0.0))
    return named


def main() -> None:
    """Run the settings and write ``results/truth_recovery.json`` next to this file; ``--only`` updates one setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--only", choices=list(settings()))
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "truth_recovery.json")
    options = parser.parse_args()
    results: dict[str, Any] = {"coverage": {}, "false_positives": {}}
    if options.only and options.json.is_file():
        results = json.loads(options.json.read_text(encoding="utf-8"))
    results |= {"topics": NUM_TOPICS, "gain": GAIN, "rates": "rate, low, high (95 % Clopper-Pearson)"}
    for name, (kind, truth) in settings().items():
        if options.only not in (None, name):
            continue
        started = time.perf_counter()
        result = {"coverage": coverage, "false_positives": false_positives}[kind](truth, options.studies)
        result["seconds"] = round(time.perf_counter() - started)
        results[kind][name.partition(": ")[2]] = result
        print(name, json.dumps(result), flush=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
