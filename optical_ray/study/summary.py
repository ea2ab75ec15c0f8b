"""What a ledger says: the best trial of each target, what is left to do, and the JSON of ``status``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from optical_ray.study.info import StudyInfo
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


def seconds_left(ledger: Ledger, info: StudyInfo) -> float | None:
    """An estimate from the mean duration of the complete trials; None before the first."""
    durations = [record.seconds for record in ledger.records if record.state is TrialState.COMPLETE]
    if not durations:
        return None
    finished = sum(record.state.is_finished for record in ledger.records)
    return max(0, info.num_trials - finished) * fmean(durations) / max(1, info.num_concurrent)


def unconverged(ledger: Ledger) -> list[tuple[TrialRecord, float]]:
    """Trials that ended with plans that are none yet, with their marginal error: above ``LOOSE``."""
    found = []
    for record in ledger.records:
        ended = record.state in (TrialState.COMPLETE, TrialState.PRUNED)
        row = ledger.last_row(record.key) if ended else None
        error = (row or {}).get("ot/marginal_error", 0.0)
        if error > LOOSE and _has_marginals(record.config):
            found.append((record, error))
    return found


def unconverged_lines(ledger: Ledger) -> list[str]:
    """What to say of them."""
    return [
        f"trial {record.key}: the transport plans end with a marginal error of {error:.2g}: its epsilon (or ipot.beta) "
        "is too small for so few iterations; raise either"
        for record, error in unconverged(ledger)
    ]


def _has_marginals(config: Mapping[str, Any]) -> bool:
    """Whether the trial solves balanced transport by iterations, in its loss or in a term of it."""
    loss = config.get("loss") or {}
    losses = [loss, *(term.get("loss") or {} for term in loss.get("terms") or ())]
    return any(
        one.get("kind") == "optimal_transport"
        and (one.get("solver") == "ipot" or (one.get("sinkhorn") or {}).get("tau") is None)
        for one in losses
    )


def num_retries(ledger: Ledger) -> int:
    """Attempts beyond the first, over all trials."""
    return sum(max(record.attempts - 1, 0) for record in ledger.records)


def best_by_sources(ledger: Ledger, metric: str) -> dict[tuple[str, str], float]:
    """The best eval score of the complete trials by target and source languages (joined by ``+``).

    The score of a configuration is the mean over its seeds.
    """
    seeds: dict[tuple[str, str, str], list[float]] = {}
    for record in ledger.records:
        if record.state is TrialState.COMPLETE:
            sources, configuration = "+".join(record.source_languages), repr(sorted(record.params.items()))
            for target, value in ledger.scores(record.key).get("eval", {}).get(metric, {}).items():
                seeds.setdefault((target, sources, configuration), []).append(value)
    best: dict[tuple[str, str], float] = {}
    for (target, sources, _), values in seeds.items():
        best[target, sources] = max(fmean(values), best.get((target, sources), float("-inf")))
    return best


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
