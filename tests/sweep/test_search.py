"""Between Ray Tune and the ledger: what is suggested, and what becomes of every report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ray.tune.search import Searcher

from optical_ray.config.experiment import Experiment
from optical_ray.prepare.study import Prepared
from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialState
from optical_ray.sweep.proposals import Proposals
from optical_ray.sweep.search import LedgerCallback, LedgerSearcher, register, runnable, score_of

Make = Callable[..., Experiment]
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

    def report(self, trial: FakeTrial | None = None, **result: Any) -> None:
        self.callback.on_trial_result(1, [], trial or FakeTrial(), {"key": KEY, **result})

    def progress(self, step: int, attempt: str = "a", resumed_from: int = 0, complete: bool = False) -> None:
        rows = [{"step": number, "loss": 1.0} for number in range(resumed_from + 1, step + 1)]
        self.report(step=step, attempt=attempt, resumed_from=resumed_from, complete=complete, rows=rows)

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
    watched.report(started=True)
    assert (watched.record.state, watched.record.attempts) == (TrialState.RUNNING, 1)
    watched.progress(4)
    watched.progress(8, complete=True)
    assert (watched.record.state, watched.record.attempts, watched.record.resumed_from) == (TrialState.COMPLETE, 1, 0)
    assert [row["step"] for row in watched.ledger.rows(KEY)] == list(range(1, 9))
    assert watched.completed == [KEY]
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record.state is TrialState.COMPLETE


def test_a_launch_that_goes_on_says_where_from(watched: Watched) -> None:
    watched.report(started=True)
    watched.progress(4)
    later = LedgerCallback(watched.ledger, 3, watched.completed.append)
    watched.callback = later
    watched.report(started=True)
    watched.progress(6, attempt="b", resumed_from=4)
    assert (watched.record.attempts, watched.record.resumed_from) == (2, 4)


def test_a_worker_group_that_was_started_again_is_another_attempt(watched: Watched) -> None:
    watched.report(started=True)
    watched.progress(4, attempt="a")
    watched.progress(6, attempt="b", resumed_from=4)
    watched.progress(8, attempt="b", resumed_from=4, complete=True)
    assert (watched.record.attempts, watched.record.resumed_from) == (2, 4)
    assert [row["step"] for row in watched.ledger.rows(KEY)] == list(range(1, 9))


def test_a_loss_that_is_no_number_fails_for_good(watched: Watched) -> None:
    watched.report(started=True)
    watched.progress(4)
    watched.report(failed="loss is nan at step 5")
    record = watched.record
    assert (record.state, record.error, record.retryable) == (TrialState.FAIL, "loss is nan at step 5", False)
    watched.report(failed="loss is nan at step 5")  # the driver says it once more
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record == record
    assert not runnable(watched.ledger, KEY, 3)


def test_a_failure_is_told_of_the_seed_that_reports_though_it_does_not_name_it(watched: Watched) -> None:
    watched.report(started=True)
    watched.callback.on_trial_result(1, [], FakeTrial(), {"failed": "x", "attempt": "a"})
    assert watched.record.state is TrialState.FAIL


def test_a_crash_is_tried_again_until_the_attempts_are_used_up(watched: Watched) -> None:
    for attempt in (1, 2, 3):
        watched.report(started=True)
        watched.report(crashed="out of memory")
        assert watched.record.error == "out of memory"
        assert watched.record.attempts == attempt
        assert runnable(watched.ledger, KEY, 3) is (attempt < 3)
    assert watched.record.retryable is False


def test_a_driver_that_is_lost_is_a_crash(watched: Watched) -> None:
    watched.report(started=True)
    watched.callback.on_trial_error(1, [], FakeTrial())
    assert (watched.record.state, watched.record.retryable) == (TrialState.FAIL, True)
    assert "driver" in watched.record.error


def test_a_trial_that_is_stopped_early_is_pruned(watched: Watched) -> None:
    watched.report(started=True)
    watched.progress(4)
    watched.callback.on_trial_complete(1, [], FakeTrial())
    assert watched.record.state is TrialState.PRUNED
    assert not runnable(watched.ledger, KEY, 3)


def test_trials_that_never_said_anything_are_left_alone(watched: Watched) -> None:
    watched.callback.on_trial_complete(1, [], FakeTrial("unknown"))
    watched.callback.on_trial_error(1, [], FakeTrial("unknown"))
    assert watched.record.state is TrialState.WAITING


# ---- the searcher


def searcher(experiment: Experiment, prepared: Prepared, ledger: Ledger, waiting: Any = (PARAMS,)) -> LedgerSearcher:
    return LedgerSearcher(experiment, prepared, ledger, Proposals(experiment, 2, waiting, 0))


def test_a_configuration_is_registered_once_for_every_seed(make: Make, prepared: Prepared, ledger: Ledger) -> None:
    experiment = make(search={"num_trials": 2, "seeds": 2})
    config = searcher(experiment, prepared, ledger).suggest("t1")
    assert config["params"] == PARAMS
    assert [job.seed for job in config["jobs"]] == [7, 8]
    assert [(record.key, record.seed) for record in ledger.records] == [(job.key, job.seed) for job in config["jobs"]]
    assert register(experiment, prepared, ledger, PARAMS) == [job.key for job in config["jobs"]]
    assert len(ledger.records) == 2


def test_a_seed_that_is_complete_is_not_run_again(make: Make, prepared: Prepared, ledger: Ledger) -> None:
    experiment = make(search={"num_trials": 2, "seeds": 2})
    first, _ = register(experiment, prepared, ledger, PARAMS)
    finish(ledger, first, 0.5)
    config = searcher(experiment, prepared, ledger).suggest("t1")
    assert [job.seed for job in config["jobs"]] == [8]


def test_a_job_knows_which_rows_are_logged(make: Make, prepared: Prepared, ledger: Ledger) -> None:
    experiment = make()
    [key] = register(experiment, prepared, ledger, PARAMS)
    ledger.start(key, resumed_from=0)
    ledger.log(key, [{"step": 1}, {"step": 2}])
    [job] = searcher(experiment, prepared, ledger).suggest("t1")["jobs"]
    assert job.logged_step == 2


def test_the_sampler_learns_the_mean_of_the_seeds(make: Make, prepared: Prepared, ledger: Ledger) -> None:
    experiment = make(search={"num_trials": 2, "seeds": 2})
    told: list[tuple[Any, float | None]] = []
    search = searcher(experiment, prepared, ledger)
    search._proposals.tell = lambda params, value: told.append((params, value))  # type: ignore[method-assign]
    keys = [job.key for job in search.suggest("t1")["jobs"]]
    finish(ledger, keys[0], 0.2)
    finish(ledger, keys[1], 0.4)
    search.on_trial_complete("t1", {"objective": 0.9})
    assert told == [(PARAMS, pytest.approx(0.3))]
    assert score_of(experiment, ledger, keys) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [(TrialState.PRUNED, False, 0.15), (TrialState.FAIL, False, None), (TrialState.FAIL, True, None)],
)
def test_a_pruned_trial_counts_with_its_last_score_and_a_failed_one_with_none(
    make: Make, prepared: Prepared, ledger: Ledger, state: TrialState, error: bool, expected: float | None
) -> None:
    told: list[float | None] = []
    search = searcher(make(), prepared, ledger)
    search._proposals.tell = lambda params, value: told.append(value)  # type: ignore[method-assign]
    [job] = search.suggest("t1")["jobs"]
    ledger.start(job.key, resumed_from=0)
    ledger.finish(job.key, state)
    search.on_trial_complete("t1", {"objective": 0.15}, error=error)
    assert told == [expected]


def test_there_is_an_end(make: Make, prepared: Prepared, ledger: Ledger) -> None:
    search = LedgerSearcher(make(), prepared, ledger, Proposals(make(), 0, [], 0))
    assert search.suggest("t1") == Searcher.FINISHED
