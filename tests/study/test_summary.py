"""What a ledger says: the choice is made on eval and reported on test, with and without supervision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import (
    best_by_sources,
    best_of,
    num_retries,
    objective_of,
    seconds_left,
    states,
    status_json,
    unconverged,
    unconverged_messages,
)
from tests.toy_info import write_toy_info


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    write_toy_info(tmp_path)
    return Ledger.open(tmp_path)


def add(
    ledger: Ledger,
    key: str,
    sources: tuple[str, ...],
    scores: dict[str, Any] | None,
    state: TrialState = TrialState.COMPLETE,
) -> None:
    ledger.create(
        key, params={"data.source_languages": "+".join(sources)}, seed=1, config={}, source_languages=sources, steps=2
    )
    if scores is not None:
        write_json(ledger.trial_folder(key) / "scores.json", scores)
    if state is not TrialState.WAITING:
        ledger.start(key, resumed_from=0)
    if state.is_finished:
        ledger.finish(key, state, error="why" if state is TrialState.FAIL else None)


def planned(num_trials: int, num_concurrent: int) -> StudyInfo:
    return StudyInfo("id", "toy", 0.0, {}, ("sw",), num_trials, num_concurrent)


def ap(evaluation: float, test: float) -> dict[str, Any]:
    return {"eval": {"AP": {"sw": evaluation}}, "test": {"AP": {"sw": test}}}


def test_the_best_is_chosen_on_eval_and_told_on_test(ledger: Ledger) -> None:
    add(ledger, "low", ("de",), ap(0.1, 0.9))
    add(ledger, "high", ("hi",), ap(0.3, 0.2))
    best = best_of(ledger, "AP", "sw")
    assert best is not None
    assert (best.key, best.eval, best.test, best.is_supervised) == ("high", 0.3, 0.2, False)


def test_a_trial_that_saw_the_target_is_marked_and_can_be_left_out(ledger: Ledger) -> None:
    add(ledger, "transfer", ("de",), ap(0.1, 0.1))
    add(ledger, "supervised", ("de", "sw"), ap(0.5, 0.5))
    best, transfer = best_of(ledger, "AP", "sw"), best_of(ledger, "AP", "sw", transfer_only=True)
    assert best is not None
    assert best.is_supervised
    assert transfer is not None
    assert (transfer.key, transfer.is_supervised) == ("transfer", False)


def test_only_complete_trials_with_both_scores_can_be_best(ledger: Ledger) -> None:
    add(ledger, "stopped", ("de",), ap(0.9, 0.9), TrialState.PRUNED)
    add(ledger, "failed", ("de",), ap(0.9, 0.9), TrialState.FAIL)
    add(ledger, "half", ("de",), {"eval": {"AP": {"sw": 0.9}}})
    assert best_of(ledger, "AP", "sw") is None
    assert best_of(ledger, "AP", "nowhere") is None


def test_the_objective_is_the_mean_over_targets_on_eval_or_nothing() -> None:
    scores = {"eval": {"AP": {"sw": 0.25, "so": 0.75}}, "test": {"AP": {"sw": 1.0, "so": 1.0}}}
    assert objective_of(scores, "AP", ["sw", "so"]) == 0.5
    assert objective_of(scores, "AP", ["so"]) == 0.75
    assert objective_of(scores, "AP", ["sw", "mr"]) is None
    assert objective_of(scores, "RR", ["sw"]) is None
    assert objective_of({}, "AP", ["sw"]) is None


def test_time_left_is_known_after_the_first_complete_trial(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 110.0, 200.0, 200.0, 230.0])
    monkeypatch.setattr("optical_ray.study.records.time.time", lambda: next(clock))
    assert seconds_left(ledger, planned(6, 1)) is None
    add(ledger, "one", ("de",), ap(0.1, 0.1))
    assert seconds_left(ledger, planned(6, 1)) == 50.0
    add(ledger, "two", ("hi",), ap(0.1, 0.1))
    assert seconds_left(ledger, planned(6, 2)) == 4 * 20.0 / 2
    assert seconds_left(ledger, planned(2, 2)) == 0.0
    assert seconds_left(ledger, planned(1, 2)) == 0.0


def test_status_says_it_for_programs(ledger: Ledger) -> None:
    add(ledger, "done", ("de", "hi"), ap(0.3, 0.2))
    add(ledger, "broken", ("mr",), None, TrialState.FAIL)
    add(ledger, "next", ("so",), None, TrialState.WAITING)
    ledger.log("done", [{"step": 1, "time": 10.0}, {"step": 2, "time": 12.5}])
    record = ledger.find("done")
    folder = ledger.folder / "baselines" / "undistilled"
    folder.mkdir(parents=True)
    write_json(folder / "scores.json", ap(0.05, 0.04))
    status = json.loads(json.dumps(status_json(ledger)))
    assert status["study"] == "toy"
    assert status["baselines"] == {"undistilled": {"AP": {"sw": 0.04}}}
    done, broken, waiting = status["trials"]
    assert done == {
        "key": "done",
        "state": "COMPLETE",
        "params": {"data.source_languages": "de+hi"},
        "seed": 1,
        "attempts": 1,
        "resumed_from": 0,
        "steps": 2,
        "error": None,
        "eval_scores": {"AP": {"sw": 0.3}},
        "scores": {"AP": {"sw": 0.2}},
        "times": {
            "created": record.created,
            "started": record.started,
            "first_step": 10.0,
            "last_step": 12.5,
            "finished": record.finished,
        },
    }
    assert (broken["state"], broken["error"], broken["scores"]) == ("FAIL", "why", {})
    assert (waiting["state"], waiting["attempts"]) == ("WAITING", 0)
    assert states(ledger) == {"COMPLETE": 1, "FAIL": 1, "WAITING": 1}


def test_plans_that_did_not_converge_are_named(ledger: Ledger) -> None:
    """Unbalanced transport and losses without a plan report no marginal error."""
    cases = {"good": 0.001, "loose": 0.3, "term": 0.3, "unbalanced": None, "ipot": 0.3, "greedy": None}
    for key, error in cases.items():
        ledger.create(key, params={"p": key}, seed=1, config={}, source_languages=("so",), steps=2)
        ledger.start(key, resumed_from=0)
        last = {"step": 2, "loss": 1.0} if error is None else {"step": 2, "ot/marginal_error": error}
        ledger.log(key, [{"step": 1, "ot/marginal_error": 0.9}, last])
        ledger.finish(key, TrialState.COMPLETE)
    named = ["loose", "term", "ipot"]
    assert [(record.key, error) for record, error in unconverged(ledger)] == [(key, 0.3) for key in named]
    assert (
        "trial loose: the transport plans did not converge (got a marginal error of 0.3"
        in unconverged_messages(ledger)[0]
    )


def test_a_baseline_that_failed_says_why(ledger: Ledger) -> None:
    for name, state in (("en", "FAIL"), ("shuffled", "COMPLETE")):
        said = {"name": name, "state": state, "error": "loss is nan" if state == "FAIL" else None}
        (ledger.folder / "baselines" / name).mkdir(parents=True)
        write_json(ledger.folder / "baselines" / name / "baseline.json", said)
    assert ledger.failed_baselines() == {"en": "loss is nan"}


def test_seeds_are_replicates_of_one_configuration(ledger: Ledger) -> None:
    """A lucky seed does not make its configuration the best."""
    for key, sources, seed, score in (
        *(("a1", "de", 1, ap(0.9, 0.1)), ("a2", "de", 2, ap(0.1, 0.3))),
        *(("b1", "hi", 1, ap(0.6, 0.5)), ("b2", "hi", 2, ap(0.7, 0.7))),
    ):
        params = {"data.source_languages": sources}
        ledger.create(key, params=params, seed=seed, config={}, source_languages=(sources,), steps=2)
        write_json(ledger.trial_folder(key) / "scores.json", score)
        ledger.start(key, resumed_from=0)
        ledger.finish(key, TrialState.COMPLETE)
    best = best_of(ledger, "AP", "sw")
    assert best is not None
    assert (best.key, best.eval, best.test) == ("b2", pytest.approx(0.65), pytest.approx(0.6))


def test_the_best_score_of_each_set_of_source_languages_is_a_mean_over_seeds(ledger: Ledger) -> None:
    for key, epsilon, seed, score in (
        ("a1", 0.1, 1, 0.9),
        ("a2", 0.1, 2, 0.1),
        ("b1", 0.2, 1, 0.6),
        ("b2", 0.2, 2, 0.7),
    ):
        params = {"data.source_languages": "de+hi", "loss.solver.epsilon": epsilon}
        ledger.create(key, params=params, seed=seed, config={}, source_languages=("de", "hi"), steps=2)
        write_json(ledger.trial_folder(key) / "scores.json", ap(score, 0.0))
        ledger.start(key, resumed_from=0)
        ledger.finish(key, TrialState.COMPLETE)
    add(ledger, "stopped", ("so",), ap(0.9, 0.9), TrialState.PRUNED)
    assert best_by_sources(ledger, "AP") == {("sw", "de+hi"): pytest.approx(0.65)}


def test_retries_are_attempts_beyond_the_first(ledger: Ledger) -> None:
    add(ledger, "once", ("de",), None, TrialState.RUNNING)
    add(ledger, "again", ("hi",), None, TrialState.RUNNING)
    ledger.start("again", resumed_from=1)
    ledger.start("again", resumed_from=1)
    add(ledger, "next", ("mr",), None, TrialState.WAITING)
    assert num_retries(ledger) == 2
