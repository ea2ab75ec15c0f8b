"""A small study from its spec to its scores, and what a second launch makes of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import from_dict
from optical_ray.study.files import read_json
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from optical_ray.training.context import Rows
from tests.system.conftest import Run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Tiny = Callable[..., dict[str, Any]]
Check = Callable[[Ledger, TrialRecord], None]
Alone = Callable[[Ledger, TrialRecord], tuple[Rows, Path]]
ONE_TARGET = {"targets": ["sw"], "metrics": ["AP"], "every": 4}


@pytest.fixture(scope="module")
def finished(run: Run, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Two configurations on one target."""
    return run(from_dict(tiny(evaluation=ONE_TARGET)), tmp_path_factory.mktemp("finished"))


@pytest.fixture
def storage(finished: Ledger, tmp_path: Path) -> Path:
    """A copy of the finished study, to go on with."""
    shutil.copytree(finished.folder.parent, tmp_path / "storage")
    return tmp_path / "storage"


def trial_files(storage: Path, name: str) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in storage.glob(f"tiny/trials/*/{name}")}


def test_every_configuration_is_distilled_and_scored(finished: Ledger, assert_undisturbed: Check) -> None:
    records = finished.records
    assert [record.params["data.source_languages"] for record in records] == ["de", "de+hi"]
    for record in records:
        assert (record.state, record.attempts, record.resumed_from) == (TrialState.COMPLETE, 1, 0)
        assert set(finished.scores(record.key)) == {"eval", "test"}
        assert (finished.trial_folder(record.key) / "student" / "model.safetensors").is_file()
        assert_undisturbed(finished, record)
    assert set(finished.baselines()["undistilled"]["test"]["AP"]) == {"sw"}


def test_nothing_is_left_lying_about(finished: Ledger) -> None:
    assert not (finished.folder / "lease.json").exists()
    assert not list((finished.folder / "train").glob("*/checkpoint_*"))
    assert not [path for path in (finished.folder / "tune").glob("*") if path.is_dir()]


def test_a_second_launch_has_nothing_to_do(storage: Path, run: Run, tiny: Tiny) -> None:
    before = {path: path.read_bytes() for path in storage.glob("tiny/trials/**/*") if path.is_file()}
    run(from_dict(tiny(evaluation=ONE_TARGET)), storage)
    assert {path: path.read_bytes() for path in storage.glob("tiny/trials/**/*") if path.is_file()} == before


def test_a_larger_budget_a_new_target_and_a_new_metric_extend_the_study(
    storage: Path, run: Run, tiny: Tiny, alone: Alone
) -> None:
    """What is there is scored on them and not trained again; what is new has two workers and the same losses."""
    before = [trial_files(storage, name) for name in ("trial.json", "metrics.jsonl")]
    old = {key: read_json(storage / "tiny" / "trials" / key / "scores.json") for key in before[0]}
    more = {"targets": ["sw", "so"], "metrics": ["AP", "RR"], "every": 4}
    search = {**tiny()["search"], "num_trials": 3}
    two = {"num_workers": 2, "checkpoint_every": 2}
    ledger = run(from_dict(tiny(evaluation=more, search=search, compute=two)), storage)
    assert [record.state for record in ledger.records] == [TrialState.COMPLETE] * 3
    assert len({tuple(sorted(record.params.items())) for record in ledger.records}) == 3
    after = [trial_files(storage, name) for name in ("trial.json", "metrics.jsonl")]
    for was, now in zip(before, after, strict=True):
        assert was.items() <= now.items()
        assert len(now) == 3
    for record in ledger.records:
        scores = ledger.scores(record.key)
        for split in ("eval", "test"):
            assert {metric: set(by) for metric, by in scores[split].items()} == {"AP": {"sw", "so"}, "RR": {"sw", "so"}}
            if record.key in old:
                assert scores[split]["AP"]["sw"] == old[record.key][split]["AP"]["sw"]
    assert set(ledger.baselines()["undistilled"]["test"]["RR"]) == {"sw", "so"}
    new = ledger.records[-1]
    losses = [row["loss"] for row in ledger.rows(new.key)]
    assert losses == pytest.approx([row["loss"] for row in alone(ledger, new)[0]], abs=1e-4)


def test_a_trial_whose_loss_is_no_number_fails_and_the_study_goes_on(
    storage: Path, run: Run, tiny: Tiny, assert_undisturbed: Check
) -> None:
    shutil.rmtree(storage / "tiny")  # its cache stays
    rate = "optimizer.learning_rate"
    raw = tiny(
        evaluation=ONE_TARGET,
        space={rate: {"kind": "choice", "of": [1e30, 1e-3]}},
        search={"num_trials": 2, "start_with": [{rate: 1e30}, {rate: 1e-3}]},
        compute={"max_concurrent_trials": 1},
    )
    ledger = run(from_dict(raw), storage)
    broken, good = ledger.records
    assert (broken.state, broken.retryable, broken.attempts) == (TrialState.FAIL, False, 1)
    assert broken.error is not None
    assert "step" in broken.error or "numbers" in broken.error
    assert ledger.scores(broken.key) == {}
    assert good.state is TrialState.COMPLETE
    assert_undisturbed(ledger, good)
    before = trial_files(storage, "trial.json")
    run(from_dict(raw), storage)
    assert trial_files(storage, "trial.json") == before
