"""What a ledger amounts to: the best configuration of each target, the time left, and the JSON of ``status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from optical_ray.languages import collection_language, is_supervised
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger, Scores, TrialRecord, TrialState

LARGEST_MARGINAL_ERROR = 0.02
"""The largest marginal error (L1, as a share of a sentence's mass) of a transport plan that counts as converged."""


@dataclass(frozen=True)
class Best:
    """The configuration that the eval split selects for a target; ``eval`` and ``test`` are means over its seeds.

    ``key`` is its trial with the highest eval score; ``is_supervised`` tells whether the target is one of its source
    languages, which is supervision and not transfer.
    """

    key: str
    eval: float
    test: float
    is_supervised: bool


def supervised_targets(info: StudyInfo, source_languages: Iterable[str]) -> list[str]:
    """The targets whose language is one of ``source_languages``, in the spec's order."""
    collections, sources = info.experiment["data"]["collections"], tuple(source_languages)
    return [target for target in info.targets if is_supervised(collection_language(collections, target), sources)]


def best_of(ledger: Ledger, metric: str, target: str, *, transfer_only: bool = False) -> Best | None:
    """The configuration with the highest mean eval score over its complete trials; None if there is no score.

    ``transfer_only`` excludes the configurations that saw the target's own language.
    """
    configurations: dict[str, list[Best]] = {}
    language = collection_language(ledger.info.experiment["data"]["collections"], target)
    for record in ledger.complete:
        supervised = is_supervised(language, record.source_languages)
        scores = ledger.scores(record.key)
        value = _value(scores, "eval", metric, target)
        test = _value(scores, "test", metric, target)
        if value is not None and test is not None and not (transfer_only and supervised):
            best = Best(record.key, value, test, supervised)
            configurations.setdefault(record.configuration, []).append(best)
    means = [
        replace(
            max(seeds, key=lambda seed: seed.eval),
            eval=fmean(seed.eval for seed in seeds),
            test=fmean(seed.test for seed in seeds),
        )
        for seeds in configurations.values()
    ]
    return max(means, key=lambda best: best.eval, default=None)


def objective_of(scores: Scores, metric: str, targets: Iterable[str]) -> float | None:
    """The mean eval score over the targets, which a search maximises; None if a target has no score."""
    values = [_value(scores, "eval", metric, target) for target in targets]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def states(ledger: Ledger) -> dict[str, int]:
    """The number of trials by state."""
    return dict(Counter(record.state.value for record in ledger.records))


def seconds_left(ledger: Ledger, info: StudyInfo) -> float | None:
    """An estimate from the mean duration of the complete trials; None before the first."""
    durations = [record.seconds for record in ledger.complete]
    if not durations:
        return None
    finished = sum(record.state.is_finished for record in ledger.records)
    return max(0, info.num_trials - finished) * fmean(durations) / max(1, info.num_concurrent)


def unconverged(ledger: Ledger) -> list[tuple[TrialRecord, float]]:
    """The ended trials whose transport plans did not converge, each with its last marginal error.

    Only losses whose plans must meet their marginals report one.
    """
    ended = [record for record in ledger.records if record.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    errors = [(record, (ledger.last_row(record.key) or {}).get("ot/marginal_error", 0.0)) for record in ended]
    return [(record, error) for record, error in errors if error > LARGEST_MARGINAL_ERROR]


def unconverged_messages(ledger: Ledger) -> list[str]:
    """One message for each trial whose transport plans did not converge."""
    return [
        f"trial {record.key}: the transport plans did not converge (got a marginal error of {error:.2g}, expected at "
        f"most {LARGEST_MARGINAL_ERROR:g}). Raise the solver's max_iterations, or its epsilon (ipot: beta)."
        for record, error in unconverged(ledger)
    ]


def num_retries(ledger: Ledger) -> int:
    """Attempts beyond the first, over all trials."""
    return sum(max(record.attempts - 1, 0) for record in ledger.records)


def best_by_sources(ledger: Ledger, metric: str) -> dict[tuple[str, str], float]:
    """The best eval score of the complete configurations by target and source languages (joined by ``+``).

    The score of a configuration is the mean over its seeds.
    """
    seeds: dict[tuple[str, str, str], list[float]] = {}
    for record in ledger.complete:
        sources = "+".join(record.source_languages)
        for target, value in ledger.scores(record.key).get("eval", {}).get(metric, {}).items():
            seeds.setdefault((target, sources, record.configuration), []).append(value)
    best: dict[tuple[str, str], float] = {}
    for (target, sources, _), values in seeds.items():
        best[target, sources] = max(fmean(values), best.get((target, sources), float("-inf")))
    return best


def status_json(ledger: Ledger) -> dict[str, Any]:
    """The study as ``status --json`` prints it."""
    baselines = ledger.baselines()
    return {
        "study": ledger.info.name,
        "baselines": {name: scores.get("test", {}) for name, scores in baselines.items()},
        "baselines_eval": {name: scores.get("eval", {}) for name, scores in baselines.items()},
        "trials": [_trial_json(ledger, record) for record in ledger.records],
        "damaged": dict(ledger.damaged),
    }


def _trial_json(ledger: Ledger, record: TrialRecord) -> dict[str, Any]:
    scores = ledger.scores(record.key) if record.state is TrialState.COMPLETE else {}
    first, last = ledger.first_row(record.key) or {}, ledger.last_row(record.key) or {}
    return {
        "key": record.key,
        "state": record.state.value,
        "params": dict(record.params),
        "seed": record.seed,
        "attempts": record.attempts,
        "resumed_from": record.resumed_from,
        "steps": int(last.get("step", 0)),
        "error": record.error,
        "eval_scores": scores.get("eval", {}),
        "scores": scores.get("test", {}),
        "times": {
            "created": record.created,
            "started": record.started,
            "first_step": first.get("time"),
            "last_step": last.get("time"),
            "finished": record.finished,
        },
    }


def _value(scores: Scores, split: str, metric: str, target: str) -> float | None:
    return scores.get(split, {}).get(metric, {}).get(target)
