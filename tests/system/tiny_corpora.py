"""A few lines in the layout of each corpus that a spec of ``experiments/`` reads from a place only the user knows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

CLEF_LANGUAGES = ("sw", "so", "tl", "mr", "fi", "de", "fr")
SIB_COLUMNS = ("eng_Latn", "deu_Latn", "hin_Deva", "swh_Latn", "som_Latn", "hau_Latn", "yor_Latn")
SIZE = 60
PLACES = ("AFRIQA_ROOT", "BITEXT_ROOT", "CLEF_ROOT", "MTOP_ROOT", "SIB_ROOT")


def write_corpora(folder: Path) -> dict[str, str]:
    """Value of each variable that the specs name, the corpora under ``folder``."""
    for place in PLACES:
        (folder / place).mkdir()
    _write_clef(folder / "CLEF_ROOT")
    _write_moses(folder / "BITEXT_ROOT")
    _write_mtop(folder / "MTOP_ROOT")
    _write_sib(folder / "SIB_ROOT")
    _write_afriqa(folder / "AFRIQA_ROOT")
    return {place: str(folder / place) for place in PLACES}


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _write_clef(root: Path) -> None:
    for language in CLEF_LANGUAGES:
        _write(root / f"topics.{language}.tsv", (f"{i}\ttopic {i} in {language}" for i in range(SIZE)))
    _write(root / "docs.tsv", (f"d{i}\tdocument {i}" for i in range(SIZE)))
    _write(root / "qrels.txt", (f"{i} 0 d{i} 1" for i in range(SIZE)))


def _write_moses(root: Path) -> None:
    for language in CLEF_LANGUAGES:
        _write(root / f"web.en-{language}.en", (f"sentence {i} of the web" for i in range(SIZE)))
        _write(root / f"web.en-{language}.{language}", (f"{language} text {i}" for i in range(SIZE)))


def _write_mtop(root: Path) -> None:
    for language in ("en", "de", "es", "fr", "hi", "th"):
        for partition in ("train", "eval", "test"):
            rows = (
                (
                    f"{partition}{i}",
                    f"IN:{i % 3}",
                    "",
                    f"{language} {partition} says {i}",
                    "alarm",
                    language,
                    "[IN:X ]",
                    "{}",
                )
                for i in range(SIZE)
            )
            _write(root / language / f"{partition}.txt", ("\t".join(row) for row in rows))


def _write_sib(root: Path) -> None:
    for partition in ("train", "dev"):
        header = ("key", "topic", *SIB_COLUMNS)
        rows = (
            (f"{partition}{i}", f"topic {i % 3}", *(f"{column} {partition} text {i}" for column in SIB_COLUMNS))
            for i in range(SIZE)
        )
        _write(root / f"{partition}.tsv", ("\t".join(row) for row in (header, *rows)))


def _write_afriqa(root: Path) -> None:
    passages = ({"_id": f"p{i}", "title": f"title {i}", "text": f"passage {i}"} for i in range(SIZE))
    _write(root / "corpus.jsonl", map(json.dumps, passages))
    questions = (
        {
            "_id": f"{language}{i}",
            "text": f"{language} swali {i}",
            "metadata": {"lang": language, "english": f"question {i}"},
        }
        for language in ("hau", "ibo", "zul")
        for i in range(SIZE)
    )
    _write(root / "queries.jsonl", map(json.dumps, questions))
    judged = (f"{language}{i}\tp{i}\t1" for language in ("hau", "ibo", "zul") for i in range(SIZE))
    _write(root / "qrels" / "dev.tsv", ("query-id\tcorpus-id\tscore", *judged))
