"""The gauges of a study. That Ray exports them is tested in tests/system/test_dashboards.py."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger
from optical_ray.study.summary import seconds_left
from optical_ray.tracking.trackers.prometheus import STEP_GAUGES, PrometheusTracker
from tests.tracking.written_study import DONE, DONE_TOO, RUNNING, study_info

Values = dict[tuple[str, ...], float]


class FakeGauge:
    """Takes the place of Ray's gauge; refuses labels that were not declared, as Ray does."""

    values: ClassVar[Values]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tag_keys = name, tag_keys

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.tag_keys
        self.values[(self.name, *tags.values())] = value


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> Values:
    """The value of every gauge by name and labels."""
    monkeypatch.setattr(FakeGauge, "values", {}, raising=False)
    monkeypatch.setattr("ray.util.metrics.Gauge", FakeGauge)
    return FakeGauge.values


def set_seconds(ledger: Ledger, key: str, seconds: float) -> None:
    record = ledger.get(key)
    assert record is not None
    write_json(StudyFolder(ledger.folder).trial(key).trial, record.to_json() | {"seconds": seconds})


def test_every_state_has_a_value_also_if_no_trial_is_in_it(make_study: Any, values: Values) -> None:
    PrometheusTracker(make_study().folder).sync()
    counts = {key[2]: value for key, value in values.items() if key[0] == "optical_trials"}
    assert counts == {"COMPLETE": 2, "RUNNING": 1, "FAIL": 1, "WAITING": 1, "PRUNED": 0}
    assert values["optical_retries", "small"] == 0


def test_only_running_trials_have_step_gauges(make_study: Any, values: Values) -> None:
    PrometheusTracker(make_study().folder).sync()
    running = {key: value for key, value in values.items() if key[0] in STEP_GAUGES.values()}
    assert {key[2] for key in running} == {RUNNING}
    assert running["optical_step", "small", RUNNING] == 20
    assert running["optical_tokens_per_second", "small", RUNNING] == 920


def test_best_score_by_source_languages_and_of_the_undistilled_student(make_study: Any, values: Values) -> None:
    PrometheusTracker(make_study().folder).sync()
    scores = {key[2:]: value for key, value in values.items() if key[0] == "optical_map"}
    assert scores["sw", "de"] == pytest.approx(0.2)
    assert scores["sw", "hi+mr"] == pytest.approx(0.3)
    assert scores["sw", "undistilled"] == pytest.approx(0.03)
    assert ("sw", "so") not in scores


def test_the_time_left_is_that_of_the_terminal(make_study: Any, values: Values) -> None:
    ledger: Ledger = make_study()
    for key in (DONE, DONE_TOO):
        set_seconds(ledger, key, 30.0)
    PrometheusTracker(ledger.folder).sync()
    seconds = seconds_left(Ledger.open(ledger.folder), StudyInfo.read(ledger.folder))
    assert values["optical_eta_seconds", "small"] == seconds == pytest.approx((8 - 3) * 30.0 / 2)


def test_the_time_left_counts_the_planned_trials_of_a_design(make_study: Any, values: Values) -> None:
    """An `estimate` study has no num_trials in its spec, and may have no trial running at the moment."""
    ledger: Ledger = make_study()
    study_info("small", num_trials=103, num_concurrent=4).write(ledger.folder)
    for key in (DONE, DONE_TOO):
        set_seconds(ledger, key, 20.0)
    PrometheusTracker(ledger.folder).sync()
    assert values["optical_eta_seconds", "small"] == pytest.approx(100 * 20.0 / 4)


def test_the_time_left_is_unknown_before_the_first_complete_trial(make_study: Any, values: Values) -> None:
    ledger: Ledger = make_study()
    for key in (DONE, DONE_TOO):
        StudyFolder(ledger.folder).trial(key).trial.unlink()
    PrometheusTracker(ledger.folder).sync()
    assert ("optical_eta_seconds", "small") not in values


def test_closing_without_a_sync_sets_nothing(make_study: Any, values: Values) -> None:
    PrometheusTracker(make_study().folder).close(1)
    assert not values
