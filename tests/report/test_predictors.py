from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from optical_ray.report.predictors import (
    PRETRAINING_GIB,
    pretraining_gib,
    script_of,
    shared_script,
    subword_overlap,
    uriel,
)

LANGUAGES = ["de", "hi", "mr", "so", "sw"]


def test_tables() -> None:
    assert script_of("mr") == script_of("hi") == "Deva"
    assert script_of("tlh") is None
    assert pretraining_gib("sw") == 1.6
    assert np.isnan(pretraining_gib("yo"))
    assert len(PRETRAINING_GIB.split()) % 2 == 0
    table = shared_script(["hi", "mr", "sw", "tlh"])
    assert table[0, 1] == 1
    assert table[0, 2] == 0
    assert np.isnan(table[0, 3])


def test_overlap_is_optional(tmp_path: Path) -> None:
    path = tmp_path / "overlap.json"
    assert subword_overlap(LANGUAGES, path) is None
    path.write_text(json.dumps({"hi": {"mr": 0.4}}), encoding="utf-8")
    table = subword_overlap(LANGUAGES, path)
    assert table is not None
    assert table[1, 2] == 0.4
    assert np.isnan(table[2, 1])


def test_uriel_reads_the_package_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the same layout stands in: tables are read from its folder, the package is never imported."""
    data = tmp_path / "lang2vec" / "data"
    data.mkdir(parents=True)
    (tmp_path / "lang2vec" / "__init__.py").write_text("raise RuntimeError('must not be imported')", encoding="utf-8")
    (data / "letter_codes.json").write_text(json.dumps({"hi": "hin", "mr": "mar", "sw": "swa"}), encoding="utf-8")
    values = np.array([[1, 0, 1], [1, 0, 1], [0, 1, -1]], dtype=float)[:, :, None]
    for file, source, prefix in (
        ("feature_predictions.npz", "predicted", "S_"),
        ("family_features.npz", "FAM", "F_"),
        ("geocoord_features.npz", "GEOCOORDS", "G_"),
    ):
        np.savez(
            data / file,
            langs=np.array(["hin", "mar", "swa"]),
            feats=np.array([f"{prefix}{index}" for index in range(3)]),
            sources=np.array([source]),
            data=values,
        )
    monkeypatch.syspath_prepend(tmp_path)
    found = uriel(["hi", "mr", "sw", "tlh"])
    distance = found["syntactic distance (URIEL)"]
    assert distance[0, 1] == pytest.approx(0.0)
    assert distance[0, 2] == pytest.approx(1.0)
    assert np.isnan(distance[0, 3])


def test_without_lang2vec_there_is_no_uriel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optical_ray.report.predictors.find_spec", lambda name: None)
    assert uriel(LANGUAGES) == {}
