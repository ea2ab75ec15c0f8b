"""A study planted through the ledger, as a launcher would have written it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialState

TARGETS = ("sw", "so", "mr", "ha")
Plant = Callable[..., Ledger]


def spec(num_trials: int = 8) -> dict[str, object]:
    return {
        "name": "planted",
        "seed": 7,
        "evaluation": {"targets": list(TARGETS), "metrics": ["AP", "nDCG@20"]},
        "search": {"mode": "optimise", "num_trials": num_trials, "objective": "AP", "seeds": 1},
        "space": {"loss.solver.epsilon": {"kind": "float", "low": 0.01, "high": 1.0}},
    }


def rows(first: int, last: int) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for step in range(first, last + 1):
        row = {"step": step, "loss": 1 / step, "ot/marginal_error": 1e-4, "tokens_per_second": 900.0 + step}
        if step % 10 == 0:
            row |= {f"AP/{target}": step / 1000 for target in TARGETS} | {"AP/mean": step / 1000}
        found.append(row)
    return found


def create(ledger: Ledger, number: int, sources: tuple[str, ...], steps: int) -> str:
    key = f"{number:012x}"
    ledger.create(
        key,
        params={"data.source_languages": "+".join(sources), "loss.solver.epsilon": 0.1},
        seed=7,
        config={
            "loss": {"kind": "optimal_transport", "solver": {"kind": "sinkhorn", "epsilon": 0.1, "note": "x" * 900}},
            "data": {"source_languages": list(sources), "pairs": 100},
        },
        source_languages=sources,
        steps=steps,
    )
    return key


def complete(ledger: Ledger, key: str, value: float = 0.2) -> None:
    folder = ledger.trial_folder(key)
    by_target = {target: value + number / 100 for number, target in enumerate(TARGETS)}
    write_json(folder / "scores.json", {"eval": {"AP": by_target}, "test": {"AP": by_target, "nDCG@20": by_target}})
    (folder / "run.sw.trec.gz").write_bytes(b"not really gzip")
    (folder / "per_query.parquet").write_bytes(b"nor parquet")
    ledger.finish(key, TrialState.COMPLETE)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Plants a study: trials 0 and 1 COMPLETE, 2 RUNNING at half its steps, 3 FAILed, 4 WAITING, one baseline."""

    def make(name: str = "planted", steps: int = 40) -> Ledger:
        folder = tmp_path / name
        folder.mkdir()
        write_json(
            folder / "study.json",
            {"name": name, "experiment": spec(), "git_commit": "abc", "digests": {"teacher": "t1"}},
        )
        ledger = Ledger.open(folder)
        keys = [create(ledger, 0, ("de",), steps), create(ledger, 1, ("hi", "mr"), steps)]
        for number, key in enumerate(keys):
            ledger.start(key, resumed_from=0)
            ledger.log(key, rows(1, steps))
            complete(ledger, key, 0.2 + number / 10)
        running = create(ledger, 2, ("so",), steps)
        ledger.start(running, resumed_from=0)
        ledger.log(running, rows(1, steps // 2))
        failed = create(ledger, 3, ("fr",), steps)
        ledger.start(failed, resumed_from=0)
        ledger.finish(failed, TrialState.FAIL, error="loss is NaN at step 3", retryable=True)
        create(ledger, 4, ("sw",), steps)
        baseline = folder / "baselines" / "undistilled"
        baseline.mkdir(parents=True)
        scores = dict.fromkeys(TARGETS, 0.03)
        write_json(baseline / "scores.json", {"eval": {"AP": scores}, "test": {"AP": scores}})
        write_json(baseline / "baseline.json", {"name": "undistilled", "key": "feedbeef0000", "state": "COMPLETE"})
        return ledger

    return make
