"""Writes the folder of a study as a launcher does, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import UNDISTILLED, StudyFolder
from optical_ray.study.records import Ledger, TrialState

TARGETS = ("sw", "so", "mr", "ha")
DONE, DONE_TOO, RUNNING, FAILED, WAITING = (f"{number:012x}" for number in range(5))
BASELINE = "feedbeef0000"
SPEC: dict[str, Any] = {
    "name": "small",
    "seed": 7,
    "evaluation": {"targets": list(TARGETS), "metrics": ["AP", "nDCG@20"]},
    "search": {"mode": "optimise", "num_trials": 8, "objective": "AP", "seeds": 1},
    "trial": {},
    "tracking": [{"kind": "mlflow", "uri": None, "experiment": None}, {"kind": "prometheus"}],
    "space": {"loss.solver.epsilon": {"kind": "float", "low": 0.01, "high": 1.0}},
}


def write_study(folder: Path, steps: int = 40, **fields: Any) -> Ledger:
    """Write trials 0 and 1 as COMPLETE, 2 as RUNNING at half of its steps, 3 as FAIL, 4 as WAITING, and a baseline."""
    folder.mkdir(parents=True)
    study_info(folder.name, **fields).write(folder)
    ledger = Ledger.open(folder)
    for number, (key, sources) in enumerate([(DONE, ("de",)), (DONE_TOO, ("hi", "mr"))]):
        create(ledger, key, sources, steps)
        ledger.start(key, resumed_from=0)
        ledger.log(key, rows(1, steps))
        complete(ledger, key, 0.2 + number / 10)
    create(ledger, RUNNING, ("so",), steps)
    ledger.start(RUNNING, resumed_from=0)
    ledger.log(RUNNING, rows(1, steps // 2))
    create(ledger, FAILED, ("fr",), steps)
    ledger.start(FAILED, resumed_from=0)
    ledger.finish(FAILED, TrialState.FAIL, error="loss is NaN at step 3", retryable=True)
    create(ledger, WAITING, ("sw",), steps)
    baseline = StudyFolder(folder).baseline(UNDISTILLED)
    baseline.path.mkdir(parents=True)
    scores = dict.fromkeys(TARGETS, 0.03)
    write_json(baseline.scores, {"eval": {"AP": scores}, "test": {"AP": scores}})
    write_json(baseline.baseline, {"name": UNDISTILLED, "key": BASELINE, "state": "COMPLETE"})
    return ledger


def study_info(name: str, **fields: Any) -> StudyInfo:
    """The content of ``study.json``, with ``fields`` replaced."""
    settings: dict[str, Any] = {
        "study_id": f"id-of-{name}",
        "created": 1.7e9,
        "experiment": SPEC,
        "targets": TARGETS,
        "num_trials": 8,
        "num_concurrent": 2,
        "git_commit": "abc",
        "digests": {"teacher": "t1"},
    }
    return StudyInfo(name=name, **settings | fields)


def create(ledger: Ledger, key: str, sources: tuple[str, ...], steps: int) -> None:
    """Create a trial in state WAITING."""
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


def rows(first: int, last: int) -> list[dict[str, float]]:
    """Metric rows of the steps ``first`` to ``last``, with eval scores every ten steps."""
    written: list[dict[str, float]] = []
    for step in range(first, last + 1):
        row = {"step": step, "loss": 1 / step, "ot/marginal_error": 1e-4, "tokens_per_second": 900.0 + step}
        if step % 10 == 0:
            row |= {f"AP/{target}": step / 1000 for target in TARGETS} | {"AP/mean": step / 1000}
        written.append(row)
    return written


def complete(ledger: Ledger, key: str, score: float = 0.2) -> None:
    """Write the result files of a trial and finish it."""
    folder = StudyFolder(ledger.folder).trial(key)
    by_target = {target: score + number / 100 for number, target in enumerate(TARGETS)}
    write_json(folder.scores, {"eval": {"AP": by_target}, "test": {"AP": by_target, "nDCG@20": by_target}})
    folder.run("sw").write_bytes(b"stands for a run")
    folder.per_query.write_bytes(b"stands for scores")
    ledger.finish(key, TrialState.COMPLETE)
