from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from optical_ray.analysis.predictors import (
    PRETRAINING_GIB,
    pretraining_gib,
    qap,
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


def test_qap_is_the_share_of_relabellings() -> None:
    random = np.random.default_rng(0)
    predictor = random.uniform(size=(5, 5))
    sources, targets = [0, 1, 2], [2, 3, 4]
    gains = predictor[np.ix_(sources, targets)] + random.normal(0, 0.1, (3, 3))
    gains[2, 0] = np.nan  # its own language
    found = qap(gains, predictor, sources, targets)
    assert found is not None
    there = ~np.isnan(gains)

    def rho(order: tuple[int, ...]) -> float:
        moved = predictor[np.ix_([order[index] for index in sources], [order[index] for index in targets])]
        return float(stats.spearmanr(gains[there], moved[there]).statistic)

    null = np.array([rho(order) for order in itertools.permutations(range(5))])
    assert found.rho == pytest.approx(rho((0, 1, 2, 3, 4)))
    assert found.p == pytest.approx((np.abs(null) >= abs(found.rho) - 1e-12).mean())
    assert found.num_relabellings == 120


def test_qap_needs_cells_that_vary() -> None:
    assert qap(np.ones((2, 2)), np.eye(4), [0, 1], [2, 3]) is None
    assert qap(np.array([[0.1, np.nan]]), np.eye(3), [0], [1, 2]) is None


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
    monkeypatch.setattr("optical_ray.analysis.predictors.find_spec", lambda name: None)
    assert uriel(LANGUAGES) == {}
