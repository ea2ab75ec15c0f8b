"""The counts of ``optical-ray data`` against the files themselves, and against rankings in random order."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.metrics.scores import evaluate, parse
from optical_ray.prepare.statistics import data_counts, random_ap
from optical_ray.prepare.text import prepare_text
from optical_ray.types import Qrels
from tests.tiny_study import NUM_PAIRS, NUM_TOPICS

Make = Callable[..., Experiment]


def test_counts_are_those_of_the_files(data: Path, make: Make, tmp_path: Path) -> None:
    path = data / "bitext" / "hi.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    document = (data / "sw" / "documents.tsv").read_text().splitlines()[0].split("\t")[1]
    path.write_text("\n".join([*lines, f"{document}\tneno neno neno"]) + "\n", encoding="utf-8")
    text = prepare_text(make(), tmp_path, lambda stage: None)
    counts = data_counts(make(), text)
    rows = {row.language: row for row in counts.bitext}
    assert {language: row.pairs for language, row in rows.items()} == {
        "de": NUM_PAIRS,
        "hi": NUM_PAIRS + 1,
        "mr": NUM_PAIRS,
    }
    assert {language: row.leaks for language, row in rows.items()} == {"de": 0, "hi": 1, "mr": 0}
    words = sum(len(line.split("\t")[1].split()) for line in lines)
    german = rows["de"].pieces
    assert german.mean_length == pytest.approx(german.tokens / NUM_PAIRS)
    assert 1 <= german.fertility <= 12
    assert german.tokens >= words
    assert 0 <= german.unknown < 0.05
    scored = {(row.target, row.split): row for row in counts.collections}
    assert scored["sw", "eval"].topics + scored["sw", "test"].topics == NUM_TOPICS
    assert scored["sw", "test"].documents == 2 * NUM_TOPICS
    assert scored["sw", "test"].judged == scored["sw", "test"].topics
    assert scored["sw", "test"].relevant == 1.0
    assert data_counts(make(), text) == counts


def test_a_repeated_pair_is_a_duplicate_however_it_is_spelt(data: Path, make: Make, tmp_path: Path) -> None:
    path = data / "bitext" / "de.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[3].upper()]) + "\n", encoding="utf-8")
    raw = {"data.bitext": {"made": {"kind": "parallel_text", "root": str(data / "bitext")}}}
    raw["data.bitext"]["made"]["filter"] = {"duplicates": "keep"}  # type: ignore[assignment]
    counts = data_counts(make(raw), prepare_text(make(raw), tmp_path, lambda stage: None))
    assert {row.language: row.duplicates for row in counts.bitext} == {"de": 1, "hi": 0, "mr": 0}


@pytest.mark.parametrize(("relevant", "documents", "depth"), [(1, 7, 1000), (3, 12, 1000), (4, 30, 10), (5, 5, 1000)])
def test_the_ap_of_a_random_ranking_is_what_random_rankings_have(relevant: int, documents: int, depth: int) -> None:
    names = [f"d{i}" for i in range(documents)]
    qrels = Qrels({"t": dict.fromkeys(names[:relevant], 1)})
    generator, values = random.Random(0), []
    for _ in range(4000):
        order = generator.sample(names, documents)[:depth]
        run = {"t": {name: float(-place) for place, name in enumerate(order)}}
        values.append(evaluate([parse("AP")], qrels, run)["AP"]["t"])
    assert random_ap(qrels, documents, depth) == pytest.approx(sum(values) / len(values), abs=0.012)
