"""Between Ray Tune and the ledger: what is suggested, and what becomes of every report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ray.tune.search import Searcher

from optical_ray.study.events import Completed, Crashed, Event, Failed, Progressed, Started, to_report
from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialState
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.sweep.proposals import Proposals
from optical_ray.sweep.search import LedgerCallback, LedgerSearcher

Opened = Callable[..., OpenStudy]
PARAMS = {"data.source_languages": "de", "loss.solver.epsilon": 0.1}
KEY = "k" * 12


class FakeTrial:
    """What the callback knows of Tune's trial."""

    def __init__(self, trial_id: str = "t1"):
        self.trial_id = trial_id


class Watched:
    """A ledger with one trial and a callback that is told of it."""

    def __init__(self, ledger: Ledger, max_attempts: int = 3):
        self.ledger, self.completed = ledger, list[str]()
        self.callback = LedgerCallback(ledger, max_attempts, self.completed.append)
        ledger.create(KEY, params={}, seed=1, config={}, source_languages=("de",), steps=8)

    def report(self, event: Event, trial: FakeTrial | None = None) -> None:
        self.callback.on_trial_result(1, [], trial or FakeTrial(), {**to_report(event), "training_iteration": 1})

    def start(self) -> None:
        self.report(Started(KEY))

    def progress(self, step: int, attempt: str = "a", resumed_from: int = 0, complete: bool = False) -> None:
        rows = [{"step": number, "loss": 1.0} for number in range(resumed_from + 1, step + 1)]
        self.report((Completed if complete else Progressed)(KEY, step, attempt, resumed_from, 0.0, rows))

    @property
    def record(self) -> Any:
        return self.ledger.get(KEY)


@pytest.fixture
def watched(ledger: Ledger) -> Watched:
    return Watched(ledger)


def finish(ledger: Ledger, key: str, value: float) -> None:
    scores = {"so": value, "sw": value}
    ledger.start(key, resumed_from=0)
    write_json(ledger.trial_folder(key) / "scores.json", {"eval": {"AP": scores}, "test": {"AP": scores}})
    ledger.finish(key, TrialState.COMPLETE)


# ---- the callback


def test_a_trial_runs_and_completes(watched: Watched) -> None:
    watched.start()
    assert (watched.record.state, watched.record.attempts) == (TrialState.RUNNING, 1)
    watched.progress(4)
    watched.progress(8, complete=True)
    assert (watched.record.state, watched.record.attempts, watched.record.resumed_from) == (TrialState.COMPLETE, 1, 0)
    assert [row["step"] for row in watched.ledger.rows(KEY)] == list(range(1, 9))
    assert watched.completed == [KEY]
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record.state is TrialState.COMPLETE


def test_a_launch_that_goes_on_says_where_from(watched: Watched) -> None:
    watched.start()
    watched.progress(4)
    later = LedgerCallback(watched.ledger, 3, watched.completed.append)
    watched.callback = later
    watched.start()
    watched.progress(6, attempt="b", resumed_from=4)
    assert (watched.record.attempts, watched.record.resumed_from) == (2, 4)


def test_a_worker_group_that_was_started_again_is_another_attempt(watched: Watched) -> None:
    watched.start()
    watched.progress(4, attempt="a")
    watched.progress(6, attempt="b", resumed_from=4)
    watched.progress(8, attempt="b", resumed_from=4, complete=True)
    assert (watched.record.attempts, watched.record.resumed_from) == (2, 4)
    assert [row["step"] for row in watched.ledger.rows(KEY)] == list(range(1, 9))


def test_a_loss_that_is_no_number_fails_for_good(watched: Watched) -> None:
    watched.start()
    watched.progress(4)
    watched.report(Failed(KEY, "loss is nan at step 5"))
    record = watched.record
    assert (record.state, record.error, record.retryable) == (TrialState.FAIL, "loss is nan at step 5", False)
    watched.report(Failed(KEY, "loss is nan at step 5"))  # the driver says it once more
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record == record
    assert not watched.record.retryable


def test_events_of_a_trial_that_has_ended_are_ignored(watched: Watched) -> None:
    watched.start()
    watched.progress(8, complete=True)
    record = watched.record
    for event in (Failed(KEY, "late"), Crashed(KEY, "late"), Progressed(KEY, 9, "b", 8, 0.0, [{"step": 9}])):
        watched.report(event)
    watched.callback.on_trial_error(1, [], FakeTrial())
    assert watched.record == record
    assert watched.ledger.last_step(KEY) == 8
    assert watched.completed == [KEY]


def test_a_crash_is_tried_again_until_the_attempts_are_used_up(watched: Watched) -> None:
    for attempt in (1, 2, 3):
        watched.start()
        watched.report(Crashed(KEY, "out of memory"))
        assert watched.record.error == "out of memory"
        assert watched.record.attempts == attempt
        assert watched.record.retryable is (attempt < 3)


def test_a_driver_that_is_lost_is_a_crash(watched: Watched) -> None:
    watched.start()
    watched.callback.on_trial_error(1, [], FakeTrial())
    assert (watched.record.state, watched.record.retryable) == (TrialState.FAIL, True)
    assert "driver" in watched.record.error


def test_a_trial_that_is_stopped_early_is_pruned(watched: Watched) -> None:
    watched.start()
    watched.progress(4)
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record.state is TrialState.PRUNED
    assert not watched.record.retryable


def test_trials_that_never_said_anything_are_left_alone(watched: Watched) -> None:
    watched.callback.on_trial_complete(1, [], FakeTrial("unknown"))
    watched.callback.on_trial_error(1, [], FakeTrial("unknown"))
    assert watched.record.state is TrialState.WAITING


# ---- the searcher


def searcher(study: OpenStudy, waiting: Any = (PARAMS,)) -> LedgerSearcher:
    return LedgerSearcher(study, Proposals(study.experiment, 2, waiting, 0))


def test_a_configuration_is_registered_once_for_every_seed(opened: Opened) -> None:
    study = opened(search={"num_trials": 2, "seeds": 2})
    config = searcher(study).suggest("t1")
    assert config["params"] == PARAMS
    assert [job.seed for job in config["jobs"]] == [7, 8]
    records = study.ledger.records
    assert [(record.key, record.seed) for record in records] == [(job.key, job.seed) for job in config["jobs"]]
    assert list(study.configuration(PARAMS).keys.values()) == [job.key for job in config["jobs"]]
    assert len(study.ledger.records) == 2


def test_a_seed_that_is_complete_is_not_run_again(opened: Opened) -> None:
    study = opened(search={"num_trials": 2, "seeds": 2})
    finish(study.ledger, study.configuration(PARAMS).keys[7], 0.5)
    config = searcher(study).suggest("t1")
    assert [job.seed for job in config["jobs"]] == [8]


@pytest.mark.parametrize(("attempts", "runs"), [(1, True), (2, True), (3, False)])
def test_a_crashed_seed_runs_again_while_attempts_are_left(opened: Opened, attempts: int, runs: bool) -> None:
    study = opened()
    [key] = study.configuration(PARAMS).keys.values()
    for _ in range(attempts):
        study.ledger.start(key, resumed_from=0)
        study.ledger.finish(key, TrialState.FAIL, error="out of memory", retryable=True)
    assert study.is_runnable(key) is runs


def test_a_job_knows_which_rows_are_logged(opened: Opened) -> None:
    study = opened()
    [key] = study.configuration(PARAMS).keys.values()
    study.ledger.start(key, resumed_from=0)
    study.ledger.log(key, [{"step": 1}, {"step": 2}])
    [job] = searcher(study).suggest("t1")["jobs"]
    assert job.logged_step == 2


def test_the_sampler_learns_the_mean_of_the_seeds(opened: Opened) -> None:
    study = opened(search={"num_trials": 2, "seeds": 2})
    told: list[tuple[Any, float | None]] = []
    search = searcher(study)
    search._proposals.tell = lambda params, value: told.append((params, value))  # type: ignore[method-assign]
    keys = [job.key for job in search.suggest("t1")["jobs"]]
    finish(study.ledger, keys[0], 0.2)
    finish(study.ledger, keys[1], 0.4)
    search.on_trial_complete("t1", {"objective": 0.9})
    assert told == [(PARAMS, pytest.approx(0.3))]
    assert study.score(study.configuration(PARAMS)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        (None, False, 0.15),  # Ray Tune tells the searcher before the callback writes PRUNED
        (TrialState.PRUNED, False, 0.15),
        (TrialState.FAIL, False, None),
        (TrialState.FAIL, True, None),
    ],
)
def test_a_stopped_trial_counts_with_its_last_score_and_a_failed_one_without(
    opened: Opened, state: TrialState | None, error: bool, expected: float | None
) -> None:
    study = opened()
    told: list[float | None] = []
    search = searcher(study)
    search._proposals.tell = lambda params, value: told.append(value)  # type: ignore[method-assign]
    [job] = search.suggest("t1")["jobs"]
    study.ledger.start(job.key, resumed_from=0)
    if state is not None:
        study.ledger.finish(job.key, state)
    search.on_trial_complete("t1", {"objective": 0.15}, error=error)
    assert told == [expected]


def test_the_search_ends_with_the_budget(opened: Opened) -> None:
    study = opened()
    search = LedgerSearcher(study, Proposals(study.experiment, 0, [], 0))
    assert search.suggest("t1") == Searcher.FINISHED
