"""Does the report tell the truth? Simulated studies whose truth is planted: coverage, false positives, power.

    python experiments/benchmarks/truth_recovery.py --studies 2000

Each setting simulates studies of three source sets (de, fr, de+fr) on two targets. Coverage is of the report's own 95 %
interval for one cell fixed beforehand (fr on sw), so studies are independent and the binomial interval is
exact (Clopper-Pearson). Family-wise false positives are counted where every trained student is exactly null for its
population of topics: that is the null which the report declares (conditional on the trained seeds and the shared
teacher).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from optical_ray.report.comparisons import compare
from optical_ray.report.games import games
from optical_ray.report.matrix import matrix
from optical_ray.statistics.shapley import efficiency_error, shares, weights
from tests.report.planted import Planted, plant

NUM_TOPICS = 400
GAIN = 0.02
RESAMPLES = 9_999


def binomial(hits: int, count: int) -> list[float]:
    """Rate and its exact 95 % interval."""
    interval = stats.binomtest(hits, count).proportion_ci(0.95)
    return [round(hits / count, 4), round(float(interval.low), 4), round(float(interval.high), 4)]


def planted(num_seeds: int, seed_sd: float, gain: float) -> Planted:
    """fr helps sw by ``gain`` alone or beside de; nothing else helps."""
    effects = {"de": {"sw": 0.0, "so": 0.0}, "fr": {"sw": gain, "so": 0.0}}
    return Planted(
        effects, num_topics=NUM_TOPICS, num_seeds=num_seeds, seed_sd=seed_sd, gain_sd=0.1, noise_sd=0.08, topic_sd=0.25
    )


def coverage(num_studies: int, num_seeds: int, seed_sd: float) -> dict[str, Any]:
    """How often intervals hold the truth, and how often the planted gain is found."""
    truth = planted(num_seeds, seed_sd, GAIN)
    hits = dict.fromkeys(("own", "chosen", "bootstrap", "shapley", "power", "power_robust", "right_set"), 0)
    widths, worst = [], 0.0
    for seed in range(num_studies):
        study = plant(truth, seed=seed)
        cells = matrix(study)
        family = compare(study, cells, num_resamples=RESAMPLES)
        by_cell = {(item.target, item.label): item for item in family}
        fixed = by_cell["sw", "fr"]
        hits["own"] += fixed.interval.low <= GAIN <= fixed.interval.high
        hits["bootstrap"] += fixed.bootstrap[0] <= GAIN <= fixed.bootstrap[1]
        hits["power"] += fixed.significant
        hits["power_robust"] += fixed.robust
        widths.append(fixed.interval.high - fixed.interval.low)
        chosen = by_cell["sw", cells.labels[cells.best(0)]]
        expected = truth.truth(chosen.sources, "sw")
        hits["chosen"] += chosen.interval.low <= expected <= chosen.interval.high
        hits["right_set"] += "fr" in chosen.sources
        game = next(found for found in games(study, cells) if found.target == "sw")
        table = weights(len(game.players), game.sets)
        assert table is not None
        share = shares([(name,) for name in game.players], table.values, game.values)[game.players.index("fr")]
        hits["shapley"] += share.interval.low <= GAIN <= share.interval.high
        worst = max(worst, efficiency_error(table.values, game.values, len(game.sets) - 1))
    rates = {name: binomial(count, num_studies) for name, count in hits.items()}
    return {**rates, "mean_width": round(float(np.mean(widths)), 4), "efficiency_error": worst}


def false_positives(num_studies: int, num_seeds: int, seed_sd: float) -> dict[str, Any]:
    """Family-wise false positives with nothing planted; with ``seed_sd`` 0 this is the declared null."""
    truth = planted(num_seeds, seed_sd, 0.0)
    hits = dict.fromkeys(("holm", "robust"), 0)
    p_values = []
    for seed in range(num_studies):
        study = plant(truth, seed=10_000 + seed)
        family = compare(study, matrix(study), num_resamples=RESAMPLES)
        hits["holm"] += any(item.significant for item in family)
        hits["robust"] += any(item.robust for item in family)
        p_values.append(family[0].p)
    uniform = stats.kstest(p_values, "uniform")
    found: dict[str, Any] = {name: binomial(count, num_studies) for name, count in hits.items()}
    return {**found, "p_uniform_ks": [round(float(uniform.statistic), 4), round(float(uniform.pvalue), 4)]}


def main() -> None:
    """Run all settings and write ``results/truth_recovery.json`` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "truth_recovery.json")
    given = parser.parse_args()
    begun = time.perf_counter()
    results: dict[str, Any] = {
        "studies": given.studies,
        "topics": NUM_TOPICS,
        "gain": GAIN,
        "rates": "rate, low, high (95 % Clopper-Pearson)",
        "coverage": {},
        "false_positives": {},
    }
    for num_seeds in (3, 5):
        for seed_sd in (0.01, 0.02):
            name = f"{num_seeds} seeds, seed sd {seed_sd}"
            results["coverage"][name] = coverage(given.studies, num_seeds, seed_sd)
            print(name, json.dumps(results["coverage"][name]), flush=True)
        for seed_sd in (0.0, 0.01):
            name = f"{num_seeds} seeds, seed sd {seed_sd}"
            results["false_positives"][name] = false_positives(given.studies, num_seeds, seed_sd)
            print("null", name, json.dumps(results["false_positives"][name]), flush=True)
    results["seconds"] = round(time.perf_counter() - begun)
    given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
