"""What a ledger says: the best trial of each target, what is left to do, and the JSON of ``status``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from optical_ray.study.records import Ledger, Scores, TrialRecord, TrialState

LOOSE = 0.02
"""The share of a sentence's mass at the wrong place above which a transport plan counts as not converged."""


@dataclass(frozen=True)
class Best:
    """The configuration that the eval split chooses for a target; ``eval`` and ``test`` are means over its seeds."""

    key: str
    """Of its trial with the highest eval score."""
    eval: float
    test: float
    is_supervised: bool
    """Whether the target is among its own sources: supervision, not transfer."""


def best_of(ledger: Ledger, metric: str, target: str, *, transfer_only: bool = False) -> Best | None:
    """The configuration with the highest mean eval score of its complete trials.

    ``transfer_only`` leaves out those that saw the target.
    """
    found: dict[str, list[Best]] = {}
    for record in ledger.records:
        if record.state is not TrialState.COMPLETE:
            continue
        supervised = target in record.source_languages
        scores = ledger.scores(record.key)
        value = _value(scores, "eval", metric, target)
        test = _value(scores, "test", metric, target)
        if value is not None and test is not None and not (transfer_only and supervised):
            params = json.dumps(record.params, sort_keys=True)
            found.setdefault(params, []).append(Best(record.key, value, test, supervised))
    means = [
        replace(
            max(seeds, key=lambda seed: seed.eval),
            eval=fmean(seed.eval for seed in seeds),
            test=fmean(seed.test for seed in seeds),
        )
        for seeds in found.values()
    ]
    return max(means, key=lambda best: best.eval, default=None)


def objective_of(scores: Scores, metric: str, targets: Iterable[str]) -> float | None:
    """Mean over the targets of an eval score: what a search maximises; ``None`` where one is missing."""
    values = [_value(scores, "eval", metric, target) for target in targets]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def states(ledger: Ledger) -> dict[str, int]:
    """Trials by state."""
    return dict(Counter(record.state.value for record in ledger.records))


def seconds_left(ledger: Ledger, num_trials: int, at_once: int) -> float | None:
    """Estimate from the complete trials of this study; ``None`` before the first."""
    spent = [record.seconds for record in ledger.records if record.state is TrialState.COMPLETE]
    if not spent:
        return None
    done = sum(record.state.is_finished for record in ledger.records)
    return max(0, num_trials - done) * (sum(spent) / len(spent)) / max(1, at_once)


def unconverged(ledger: Ledger) -> list[tuple[TrialRecord, float]]:
    """Trials whose last transport plans have a marginal error above ``LOOSE``, with that error.

    Only losses whose plans must meet their marginals report one.
    """
    found = []
    for record in ledger.records:
        ended = record.state in (TrialState.COMPLETE, TrialState.PRUNED)
        row = ledger.last_row(record.key) if ended else None
        error = (row or {}).get("ot/marginal_error", 0.0)
        if error > LOOSE:
            found.append((record, error))
    return found


def unconverged_lines(ledger: Ledger) -> list[str]:
    """What to say of them."""
    return [
        f"trial {record.key}: the transport plans end with a marginal error of {error:.2g}: the solver's "
        "regularisation (epsilon, beta) is too small for its number of iterations; raise either"
        for record, error in unconverged(ledger)
    ]


def status_json(ledger: Ledger) -> dict[str, Any]:
    """The study as ``status --json`` prints it."""
    baselines = ledger.baselines()
    return {
        "study": ledger.study["name"],
        "baselines": {name: scores.get("test", {}) for name, scores in baselines.items()},
        "baselines_eval": {name: scores.get("eval", {}) for name, scores in baselines.items()},
        "trials": [_trial_json(ledger, record) for record in ledger.records],
    }


def _trial_json(ledger: Ledger, record: TrialRecord) -> dict[str, Any]:
    scores = ledger.scores(record.key) if record.state is TrialState.COMPLETE else {}
    return {
        "key": record.key,
        "state": record.state.value,
        "params": dict(record.params),
        "seed": record.seed,
        "attempts": record.attempts,
        "resumed_from": record.resumed_from,
        "steps": ledger.last_step(record.key),
        "error": record.error,
        "eval_scores": scores.get("eval", {}),
        "scores": scores.get("test", {}),
    }


def _value(scores: Scores, split: str, metric: str, target: str) -> float | None:
    return scores.get(split, {}).get(metric, {}).get(target)
