"""A study with one complete trial and its weights, written without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.encoders.checkpoint import save
from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger, TrialState
from tests.export.students import student_of

KEY = "0123456789ab"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    info = StudyInfo(
        study_id="0123",
        name="small",
        created=0.0,
        experiment={
            "compute": {"keep": "best"},
            "data": {"collections": {target: {"kind": "trec", "language": target} for target in ("sw", "so")}},
            "search": {"objective": "AP"},
            "tracking": [{"kind": "mlflow"}, {"kind": "prometheus"}],
            "trial": {},
        },
        targets=("sw", "so"),
        num_trials=2,
        digests={"teacher": "encoder-1", "init": "encoder-1", "bitext": {"made": "ab12"}},
        licences={"bitext made": "CC0-1.0"},
        versions={"torch": "2"},
    )
    info.write(folder)
    ledger = Ledger.open(folder)
    for number, key in enumerate((KEY, "ffff00001111")):
        ledger.create(
            key, params={"data.source_languages": "de"}, seed=number, config={"loss": {"kind": "optimal_transport"}},
            source_languages=("de",), steps=2,
        )  # fmt: skip
    ledger.start(KEY, resumed_from=0)
    student = student_of(tmp_path, "xlmr", "pieces")
    save(ledger.trial_folder(KEY) / "student", student.encoder, student.tokenizer, query_length=16, document_length=24)
    scores = {split: {"AP": {"sw": 0.25, "so": 0.5}} for split in ("eval", "test")}
    write_json(ledger.trial_folder(KEY) / "scores.json", scores)
    ledger.finish(KEY, TrialState.COMPLETE)
    return folder
