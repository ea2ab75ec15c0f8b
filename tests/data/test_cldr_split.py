"""The bundled split, recomputed from the bundled texts by another algorithm."""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from optical_ray.data.bundled_tables import read_bundled
from optical_ray.data.datasets.cldr_annotations import LANGUAGES, CldrBitext, CldrCollection, CldrRelevance
from optical_ray.data.interface import Counts

Row = dict[str, Any]
PEOPLE = {"man", "woman", "person", "men", "women", "people"}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(read_bundled("cldr_annotations").to_pylist())


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def genderless(emoji: str) -> str:
    parts = re.sub("[\ufe0f\U0001f3fb-\U0001f3ff]", "", emoji).split("\u200d")
    return "\u200d".join(
        re.sub("[\U0001f468\U0001f469]", "\U0001f9d1", part) for part in parts if part not in ("♀", "♂")
    )


def query(row: Row, language: str) -> str:
    own = plain(row[f"{language}_name"])
    return plain(", ".join(keyword for keyword in row[f"{language}_keywords"] if plain(keyword) != own))


def bonds(row: Row, tested: set[str]) -> Iterator[Hashable]:
    """What two rows of one family share. ``tested`` are the texts that a row would be tested with."""
    yield "emoji", genderless(row["emoji"])
    if words := [word for word in re.split(r"[\s:,]+", plain(row["en_name"])) if word not in PEOPLE]:
        yield "name", tuple(words)
    for language in LANGUAGES:
        name = plain(row[f"{language}_name"])
        keywords = frozenset(map(plain, row[f"{language}_keywords"]))
        yield from (("keywords", language, some) for some in (keywords, keywords - {name}) if some)
        yield from (("text", text) for text in (name, query(row, language)) if text in tested)


def asked_texts(rows: list[Row]) -> set[str]:
    queries = {query(row, language) for row in rows for language in LANGUAGES} - {""}
    return queries | {plain(row["en_name"]) for row in rows}


def components(rows: list[Row]) -> dict[str, set[str]]:
    """Flood fill over a graph of rows and bonds (no union-find): name of the first row -> emoji of the family."""
    tested = asked_texts(rows)
    of_row = {row["emoji"]: list(bonds(row, tested)) for row in rows}
    of_bond = defaultdict(list)
    for emoji, its_bonds in of_row.items():
        for bond in its_bonds:
            of_bond[bond].append(emoji)
    families: dict[str, set[str]] = {}
    reached: set[str] = set()
    for start in of_row:
        if start in reached:
            continue
        family, border = {start}, [start]
        while border:
            emoji = border.pop()
            near = {other for bond in of_row[emoji] for other in of_bond.pop(bond, [])} - family
            family |= near
            border += near
        families["-".join(f"{ord(character):04X}" for character in start)] = family
        reached |= family
    return families


def test_families_are_the_connected_components(rows: list[Row]) -> None:
    stored = defaultdict(set)
    for row in rows:
        stored[row["family"]].add(row["emoji"])
    assert len(stored) == 1127
    assert components(rows) == stored


def test_the_split_is_a_function_of_the_families(rows: list[Row]) -> None:
    size = Counter(row["family"] for row in rows)
    graded = {row["family"] for row in rows if row["subgroup"]}
    for row in rows:
        draw = int(hashlib.sha256(row["family"].encode()).hexdigest()[:8], 16) / 2**32
        split = "train" if row["family"] not in graded or size[row["family"]] > 100 or draw < 0.56 else "test"
        split = "eval" if split == "test" and draw < 0.71 else split
        assert row["split"] == (split if row["subgroup"] or split == "train" else "dropped")


def test_sizes_are_those_of_the_provenance_note(rows: list[Row]) -> None:
    sizes = Counter((row["split"], bool(row["subgroup"])) for row in rows)
    assert sizes == {
        ("train", True): 895,
        ("train", False): 386,
        ("eval", True): 243,
        ("test", True): 431,
        ("dropped", False): 5,
    }
    note = (files("optical_ray.data") / "bundled" / "PROVENANCE.txt").read_text(encoding="utf-8")
    for number in ("1,281", "895", "386", "243", "431", "1,127"):
        assert number in note


def test_no_tested_text_occurs_in_training() -> None:
    """In any language, the texts of bitext and relevance differ from those of eval and test."""
    trained = {plain(text) for pair in CldrRelevance().pairs(Counts()) for text in (pair.query, pair.document)}
    for language in LANGUAGES:
        for batch in CldrBitext(parallel_languages=(language,)).batches(language, Counts()):
            trained.update(plain(text) for column in ("pivot", "foreign") for text in batch[column].to_pylist())
    texts = {}
    for split in ("eval", "test"):
        collections = [CldrCollection(language=language).load(split) for language in LANGUAGES]
        texts[split] = {plain(unit.text) for c in collections for unit in (*c.topics, *c.documents)}
        assert not texts[split] & trained
    assert not texts["eval"] & texts["test"]


def test_the_bundle_is_small_and_has_its_notices() -> None:
    folder = files("optical_ray.data") / "bundled"
    names = {entry.name for entry in folder.iterdir()}
    assert names == {
        *("cldr_annotations.parquet", "ui_messages.parquet", "udhr.parquet", "PROVENANCE.txt"),
        *("cldr-annotations.Unicode-3.0.txt", "chromium.BSD-3-Clause.txt", "kolibri.MIT.txt", "udhr.MIT.txt"),
    }
    assert sum(len((folder / name).read_bytes()) for name in names) < 3_000_000
