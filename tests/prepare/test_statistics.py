"""The counts of ``optical-ray data``, compared with the files and with random rankings."""

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


def test_counts_equal_those_of_the_files(data: Path, make: Make, tmp_path: Path) -> None:
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


THAI = "ตั้งปลุกตอนเช้า"
"""A word outside the tiny study's vocabulary: a word-start token and one unknown token."""


def test_text_outside_the_vocabulary_is_counted_as_unknown(data: Path, make: Make, tmp_path: Path) -> None:
    (data / "sw" / "topics.tsv").write_text("".join(f"q{i}\t{THAI}\n" for i in range(NUM_TOPICS)), encoding="utf-8")
    documents = "".join(f"d{i}\t{(THAI, 'river stone')[i % 2]}\n" for i in range(2 * NUM_TOPICS))
    (data / "so" / "documents.tsv").write_text(documents, encoding="utf-8")
    text = prepare_text(make(), tmp_path, lambda stage: None)
    tokenizer = text.initial_student.tokenizer.open().backend

    def share(texts: list[str]) -> float:
        pieces = [piece for line in texts for piece in tokenizer.encode(line, add_special_tokens=False).ids]
        return pieces.count(tokenizer.token_to_id("<unk>")) / len(pieces)

    counts = data_counts(make(), text)
    for row in counts.bitext:
        lines = (data / "bitext" / f"{row.language}.tsv").read_text().splitlines()
        assert row.pieces.unknown == pytest.approx(share([line.split("\t")[1] for line in lines]))
    scored = {(row.target, row.split): row for row in counts.collections}
    assert scored["sw", "test"].pieces.unknown == share([THAI]) > 0
    assert scored["sw", "test"].document_pieces.unknown == 0
    assert scored["so", "test"].pieces.unknown == 0
    assert scored["so", "test"].document_pieces.unknown == pytest.approx(share([THAI, "river stone"]))


def test_the_tokens_of_documents_are_counted(data: Path, make: Make, tmp_path: Path) -> None:
    texts = ["river", "river stone", "river stone river stone"] * 8
    lines = (f"d{i}\t{text}\n" for i, text in enumerate(texts))
    (data / "sw" / "documents.tsv").write_text("".join(lines))
    text = prepare_text(make(), tmp_path, lambda stage: None)
    tokenizer = text.initial_student.tokenizer.open().backend
    lengths = [len(tokenizer.encode(line, add_special_tokens=False).ids) for line in texts]
    row = next(row for row in data_counts(make(), text).collections if row.target == "sw")
    assert row.document_pieces.tokens == sum(lengths)
    assert row.document_pieces.mean_length == pytest.approx(sum(lengths) / len(texts))
    shorter = [place for place, length in enumerate(lengths) if length < max(lengths)]
    words = sum(len(texts[place].split()) for place in shorter)
    assert row.document_pieces.fertility == pytest.approx(sum(lengths[place] for place in shorter) / words)


def test_the_teachers_pairs_and_dropped_rows_are_counted(data: Path, make: Make, tmp_path: Path) -> None:
    for path, line in (
        (data / "bitext" / "de.tsv", (data / "bitext" / "de.tsv").read_text().splitlines()[0]),
        (data / "relevance" / "triples.train.small.tsv", "a query\t \tanother"),
        (data / "sw" / "topics.tsv", "q99\tnobody judged it"),
    ):
        with open(path, "a") as stream:
            stream.write(line + "\n")
    settings = {"data.relevance": {"en": {"kind": "msmarco", "root": str(data / "relevance"), "licence": "CC BY 4.0"}}}
    text = prepare_text(make(settings), tmp_path, lambda stage: None)
    counts = data_counts(make(settings), text)
    (row,) = counts.relevance
    assert (row.dataset, row.pairs, row.licence) == ("en", NUM_PAIRS, "CC BY 4.0")
    assert row.dropped == text.report["relevance"]["dropped"]
    assert sum(row.dropped.values()) == 1
    assert text.licences["relevance en"] == "CC BY 4.0"
    assert sum(next(row for row in counts.bitext if row.language == "de").dropped.values()) == 1
    dropped = [row.dropped for row in counts.collections if row.target == "sw"]
    assert sum(part.get("topics without a relevant document", 0) for part in dropped) == 1


def test_the_licence_is_the_current_one_of_the_spec(make: Make, tmp_path: Path) -> None:
    for licence in ("not stated", "CC BY 9.9"):
        settings = {"data.collections.sw.licence": licence, "data.bitext.made.licence": licence}
        text = prepare_text(make(settings), tmp_path, lambda stage: None)
        counts = data_counts(make(settings), text)
        assert {row.licence for row in counts.bitext} == {licence}
        assert {row.licence for row in counts.collections if row.target == "sw"} == {licence}
        assert (text.licences["bitext made"], text.licences["collection sw"]) == (licence, licence)


def test_duplicates_are_counted_after_normalisation(data: Path, make: Make, tmp_path: Path) -> None:
    path = data / "bitext" / "de.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[3].upper()]) + "\n", encoding="utf-8")
    raw = {"data.bitext": {"made": {"kind": "parallel_text", "root": str(data / "bitext")}}}
    raw["data.bitext"]["made"]["filter"] = {"duplicates": "keep"}  # type: ignore[assignment]
    counts = data_counts(make(raw), prepare_text(make(raw), tmp_path, lambda stage: None))
    assert {row.language: row.duplicates for row in counts.bitext} == {"de": 1, "hi": 0, "mr": 0}


@pytest.mark.parametrize(("relevant", "documents", "depth"), [(1, 7, 1000), (3, 12, 1000), (4, 30, 10), (5, 5, 1000)])
def test_random_ap_is_the_mean_of_random_rankings(relevant: int, documents: int, depth: int) -> None:
    names = [f"d{i}" for i in range(documents)]
    qrels = Qrels({"t": dict.fromkeys(names[:relevant], 1)})
    generator, values = random.Random(0), []
    for _ in range(4000):
        order = generator.sample(names, documents)[:depth]
        run = {"t": {name: float(-place) for place, name in enumerate(order)}}
        values.append(evaluate([parse("AP")], qrels, run)["AP"]["t"])
    assert random_ap(qrels, documents, depth) == pytest.approx(sum(values) / len(values), abs=0.012)
