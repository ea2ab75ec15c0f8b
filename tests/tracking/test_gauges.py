"""What the gauges say of a study (that Ray exports them: tests/system/test_dashboards.py)."""

from __future__ import annotations

from typing import Any

import pytest

from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking import gauges
from optical_ray.tracking.gauges import StudyGauges, best_scores, eta_seconds


class Recorder:
    """Stands where Ray's gauge stands; refuses labels that were not declared, as Ray does."""

    said: dict[tuple[str, ...], float]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tag_keys = name, tag_keys

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.tag_keys
        self.said[(self.name, *tags.values())] = value


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, ...], float]:
    monkeypatch.setattr(Recorder, "said", {}, raising=False)
    monkeypatch.setattr(gauges, "Gauge", Recorder)
    return Recorder.said


def test_every_state_is_said_also_when_no_trial_is_in_it(plant: Any, said: dict[tuple[str, ...], float]) -> None:
    StudyGauges(plant().folder).sync()
    counts = {key[2]: value for key, value in said.items() if key[0] == "optical_trials"}
    assert counts == {"COMPLETE": 2, "RUNNING": 1, "FAIL": 1, "WAITING": 1, "PRUNED": 0}


def test_steps_are_said_of_running_trials_alone(plant: Any, said: dict[tuple[str, ...], float]) -> None:
    StudyGauges(plant().folder).sync()
    running = {key: value for key, value in said.items() if key[0] in gauges.STEP_GAUGES.values()}
    assert {key[2] for key in running} == {"000000000002"}
    assert running["optical_step", "planted", "000000000002"] == 20
    assert running["optical_tokens_per_second", "planted", "000000000002"] == 920


def test_best_score_by_source_set_with_the_baseline(plant: Any) -> None:
    best = best_scores(plant())
    assert best["sw", "de"] == pytest.approx(0.2)
    assert best["sw", "hi+mr"] == pytest.approx(0.3)
    assert best["sw", "undistilled"] == pytest.approx(0.03)
    assert ("sw", "so") not in best


def test_time_left_is_what_is_left_at_the_pace_so_far(plant: Any) -> None:
    ledger: Ledger = plant()
    for key in ("000000000000", "000000000001"):
        path = ledger.trial_folder(key) / "trial.json"
        record = ledger.get(key)
        assert record is not None
        write_json(path, record.to_json() | {"seconds": 30.0})
    assert eta_seconds(Ledger.open(ledger.folder)) == pytest.approx((8 - 3) * 30.0)
    for number in range(2):
        (ledger.trial_folder(f"{number:012x}") / "trial.json").unlink()
    left = Ledger.open(ledger.folder)
    assert not any(record.state is TrialState.COMPLETE for record in left.records)
    assert eta_seconds(left) is None
