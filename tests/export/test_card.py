"""The model card names the data of the student and its teacher, and the collections."""

from __future__ import annotations

from pathlib import Path

import yaml

from optical_ray.config.load import from_dict
from optical_ray.export.card import model_card
from optical_ray.export.huggingface import HuggingFace
from optical_ray.prepare.text import prepare_text
from optical_ray.study.records import Ledger
from optical_ray.sweep.description import describe
from tests.export.students import student_of
from tests.tiny_study import spec, write_data


def test_every_dataset_has_a_licence_and_a_digest(tmp_path: Path) -> None:
    raw = spec(write_data(tmp_path / "data"))
    raw["data"]["relevance"]["en"]["licence"] = "CC BY 4.0, of somebody"
    experiment = from_dict(raw)
    folder = tmp_path / "study"
    folder.mkdir()
    describe(experiment, folder, prepare_text(experiment, tmp_path, lambda stage: None), num_concurrent=1)
    ledger = Ledger.open(folder)
    record = ledger.create(
        "0123456789ab", params={}, seed=1, config={"loss": {"kind": "greedy"}}, source_languages=("de",), steps=2
    )
    (ledger.trial_folder(record.key) / "scores.json").write_text("{}")
    card = model_card(ledger, record, HuggingFace(), student_of(tmp_path, "xlmr", "pieces"))
    data = card.partition("## Data")[2].partition("## The trial")[0]
    assert "- relevance en: CC BY 4.0, of somebody" in data
    assert "- bitext made: not stated" in data
    assert "- collection sw: not stated" in data
    digests = yaml.safe_load(data.partition("```yaml")[2].partition("```")[0])
    assert digests["relevance"] == {"en": experiment.data.relevance["en"].fingerprint()}
    assert digests["collections"] == {
        target: experiment.data.collections[target].fingerprint() for target in ("so", "sw")
    }
    assert digests["bitext"] == {"made": experiment.data.bitext["made"].fingerprint()}
