"""The ledger: states only move forward, steps only rise, and a reader beside a writer sees whole records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.study.files import read_json, write_json
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from optical_ray.types import InputError
from tests.toy_info import write_toy_info

KEY = "0123456789ab"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    write_toy_info(tmp_path)
    return Ledger.open(tmp_path)


def create(ledger: Ledger, key: str = KEY, **changes: Any) -> TrialRecord:
    fields: dict[str, Any] = {
        "params": {"loss.solver.epsilon": 0.1, "data.source_languages": "de+hi"},
        "seed": 7,
        "config": {"loss": {"kind": "greedy"}},
        "source_languages": ("de", "hi"),
        "steps": 10,
    }
    return ledger.create(key, **(fields | changes))


def test_a_trial_goes_from_waiting_to_complete_and_every_state_is_on_disk(ledger: Ledger) -> None:
    assert create(ledger).state is TrialState.WAITING
    assert ledger.start(KEY, resumed_from=0).attempts == 1
    assert read_json(ledger.folder / "trials" / KEY / "trial.json")["state"] == "RUNNING"
    finished = ledger.finish(KEY, TrialState.COMPLETE)
    assert finished.finished is not None
    assert finished.started is not None
    assert finished.seconds == pytest.approx(finished.finished - finished.started)
    [read] = Ledger.open(ledger.folder).records
    assert read == finished == ledger.get(KEY)


def test_records_keep_their_order_and_numbers(ledger: Ledger) -> None:
    for key in ("c" * 12, "a" * 12, "b" * 12):
        create(ledger, key)
    assert [(record.number, record.key[0]) for record in Ledger.open(ledger.folder).records] == [
        *((0, "c"), (1, "a"), (2, "b"))
    ]


def test_creating_what_is_there_gives_what_is_there(ledger: Ledger) -> None:
    first = create(ledger)
    ledger.start(KEY, resumed_from=0)
    again = create(ledger, steps=999)
    assert again.state is TrialState.RUNNING
    assert again.steps == first.steps
    assert len(ledger.records) == 1


@pytest.mark.parametrize(
    ("state", "retryable"),
    [(TrialState.COMPLETE, False), (TrialState.COMPLETE, True), (TrialState.PRUNED, False), (TrialState.FAIL, False)],
)
def test_a_finished_trial_never_changes(ledger: Ledger, state: TrialState, retryable: bool) -> None:
    create(ledger)
    ledger.start(KEY, resumed_from=0)
    ledger.finish(KEY, state, retryable=retryable)
    path = ledger.trial_folder(KEY) / "trial.json"
    before = path.read_bytes()
    for change in (
        lambda: ledger.start(KEY, resumed_from=0),
        lambda: ledger.resume(KEY, resumed_from=3),
        lambda: ledger.finish(KEY, TrialState.FAIL, error="x"),
    ):
        with pytest.raises(RuntimeError, match="never changes"):
            change()
    assert path.read_bytes() == before


def test_a_crash_may_be_tried_again_and_time_and_attempts_add_up(ledger: Ledger) -> None:
    create(ledger)
    ledger.start(KEY, resumed_from=0)
    failed = ledger.finish(KEY, TrialState.FAIL, error="out of memory", retryable=True)
    assert failed.error == "out of memory"
    again = ledger.start(KEY, resumed_from=4)
    assert (again.attempts, again.resumed_from, again.error, again.state) == (2, 4, None, TrialState.RUNNING)
    done = ledger.finish(KEY, TrialState.COMPLETE)
    assert done.seconds >= failed.seconds
    assert done.resumed_from == 4


def test_where_an_attempt_began_is_corrected_once_its_worker_says_so(ledger: Ledger) -> None:
    create(ledger)
    ledger.start(KEY, resumed_from=0)
    assert ledger.resume(KEY, resumed_from=6).resumed_from == 6
    assert ledger.resume(KEY, resumed_from=6).attempts == 1
    assert Ledger.open(ledger.folder).records[0].resumed_from == 6


def test_steps_are_monotone_whatever_is_sent_again(ledger: Ledger) -> None:
    create(ledger)
    ledger.log(KEY, [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}])
    ledger.log(KEY, [{"step": 2, "loss": 9.0}, {"step": 3, "loss": 0.25}])
    ledger.log(KEY, [{"step": 1, "loss": 9.0}])
    ledger.log(KEY, [])
    assert [(row["step"], row["loss"]) for row in ledger.rows(KEY)] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert ledger.last_step(KEY) == 3
    assert ledger.last_step("f" * 12) == 0


def test_rows_behind_a_torn_line_are_logged_again(ledger: Ledger) -> None:
    create(ledger)
    ledger.log(KEY, [{"step": 1}, {"step": 2}])
    path = ledger.trial_folder(KEY) / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-3])
    assert ledger.last_step(KEY) == 1
    ledger.log(KEY, [{"step": 2}, {"step": 3}])
    assert [row["step"] for row in ledger.rows(KEY)] == [1, 2, 3]


def test_a_reader_sees_what_came_since_it_looked(ledger: Ledger) -> None:
    reader = Ledger.open(ledger.folder)
    create(ledger)
    assert reader.records == ()
    reader.refresh()
    assert reader.get(KEY) == ledger.get(KEY)


def test_scores_and_baselines_are_read_from_their_folders(ledger: Ledger) -> None:
    scores = {"eval": {"AP": {"sw": 0.2}}, "test": {"AP": {"sw": 0.1}}}
    create(ledger)
    assert ledger.scores(KEY) == {}
    write_json(ledger.trial_folder(KEY) / "scores.json", scores)
    assert ledger.scores(KEY) == scores
    for name in ("bm25", "undistilled", "shuffled"):
        (ledger.folder / "baselines" / name).mkdir(parents=True)
        write_json(ledger.folder / "baselines" / name / "scores.json", scores)
    assert list(ledger.baselines()) == ["undistilled", "bm25", "shuffled"]


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        Ledger.open(tmp_path)
    with pytest.raises(InputError, match=r"no study\.json"):
        Ledger.open(tmp_path / "none")


def test_records_of_another_version_are_refused(ledger: Ledger) -> None:
    create(ledger)
    path = ledger.trial_folder(KEY) / "trial.json"
    write_json(path, read_json(path) | {"version": 99})
    with pytest.raises(InputError, match=rf"{KEY}.*version \(got 99, expected"):
        Ledger.open(ledger.folder)


def test_an_unknown_key_is_refused_also_in_a_study_without_trials(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trial 'abc': not in .* \(the study has no trials\)"):
        Ledger(tmp_path).find("abc")
