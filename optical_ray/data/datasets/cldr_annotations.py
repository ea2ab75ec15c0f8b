"""Unicode CLDR annotations (bundled): names and keywords of emoji in 20 languages, as bitext, collection and relevance.

A row is one emoji; its keywords exclude its own name. The split into train, eval and test is by family
(``bundled/PROVENANCE.txt``), so that no text of eval or test occurs in training, in any language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.bundled_tables import bundled_digest, read_bundled
from optical_ray.data.collection_assembly import require_split
from optical_ray.data.interface import (
    BitextDataset,
    CollectionDataset,
    Counts,
    RelevanceDataset,
    fingerprint,
    pair_batches,
)
from optical_ray.data.languages import Language
from optical_ray.data.scripts import normalise
from optical_ray.types import Collection, Document, InputError, Qrels, RelevancePair, Topic

LANGUAGES = (
    *("am", "ar", "bn", "de", "en", "es", "fi", "fil", "fr", "ha"),
    *("hi", "ig", "mr", "so", "sw", "ta", "te", "th", "yo", "zu"),
)
PIVOT = "en"
LICENCE = "Unicode-3.0; Unicode CLDR 48.2.0 annotations, bundled"
SAME_EMOJI, SAME_SUBGROUP = 2, 1


@dataclass(frozen=True, kw_only=True)
class CldrBitext(BitextDataset):
    """The training rows as multi-parallel bitext: up to two pairs a row, names and keyword lists.

    Every language has the same pairs with the same ids (``1F600/name``, ``1F600/keywords``): if one of
    ``parallel_languages`` lacks a row's keywords, the keyword pair is dropped in all of them and counted. More
    languages therefore mean fewer pairs: 2,257 with the default, 2,153 with ``null`` (all 20 languages).
    The pivot ``en`` is always included, paired with itself.
    """

    kind: Literal["cldr_annotations"] = "cldr_annotations"
    content: Literal["names", "keywords", "both"] = "both"
    parallel_languages: tuple[Language, ...] | None = ("de", "fr", "ha", "hi", "mr", "so", "sw", "yo")

    def __post_init__(self) -> None:
        if self.content not in ("names", "keywords", "both"):
            raise InputError(f"content: must be names, keywords or both, got {self.content!r}")
        for language in self.parallel_languages or ():
            _require_language("parallel_languages", language)

    def languages(self) -> tuple[str, ...]:
        """Return the parallel languages and the pivot, sorted."""
        return tuple(sorted({PIVOT, *(LANGUAGES if self.parallel_languages is None else self.parallel_languages)}))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs in the order of the emoji, the name before the keywords."""
        if language not in self.languages():
            raise InputError(
                f"cldr_annotations: language {language!r} is not among parallel_languages "
                f"({', '.join(self.languages())}); the data has {', '.join(LANGUAGES)}: name it in parallel_languages"
            )
        yield from pair_batches(self._pairs(language, counts), counts)

    def _pairs(self, language: str, counts: Counts) -> Iterator[tuple[str, str, str]]:
        for row in _rows("train", *self.languages()):
            identity = code_points(row["emoji"])
            if self.content != "keywords":
                yield f"{identity}/name", row[f"{PIVOT}_name"], row[f"{language}_name"]
            if self.content == "names":
                continue
            if all(_keywords(row, other) for other in self.languages()):
                yield f"{identity}/keywords", _keywords(row, PIVOT), _keywords(row, language)
            else:
                counts.drop("keywords missing in one of the parallel languages")

    def fingerprint(self) -> str:
        """Return a digest of the bundled table, the content and the parallel languages."""
        settings = {"kind": self.kind, "role": "bitext", "content": self.content, "languages": self.languages()}
        return fingerprint(settings, [bundled_digest(self.kind)])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class CldrCollection(CollectionDataset):
    """Queries: an emoji's keywords in ``language``; documents: the English names of all emoji of the same split.

    Grade 2 is the same emoji, grade 1 the same subgroup; average precision counts only grade 2, so that it equals the
    reciprocal rank. Emoji without keywords give no topic and are counted.
    """

    kind: Literal["cldr_annotations"] = "cldr_annotations"
    language: Language

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return a language; the table is bundled."""
        return {"language": "sw"}

    def __post_init__(self) -> None:
        _require_language("language", self.language)

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` (243 documents) or ``test`` (431)."""
        require_split(self.kind, split)
        rows = list(_rows(split, PIVOT, self.language))
        by_subgroup: dict[str, dict[str, int]] = {}
        for row in rows:
            by_subgroup.setdefault(row["subgroup"], {})[code_points(row["emoji"])] = SAME_SUBGROUP
        topics = [
            Topic(code_points(row["emoji"]), _keywords(row, self.language), self.language)
            for row in rows
            if _keywords(row, self.language)
        ]
        subgroups = {code_points(row["emoji"]): row["subgroup"] for row in rows}
        grades = {
            topic.topic_id: {**by_subgroup[subgroups[topic.topic_id]], topic.topic_id: SAME_EMOJI} for topic in topics
        }
        return Collection(
            name=f"cldr_annotations/{self.language}",
            split=split,
            topics=topics,
            documents=[Document(code_points(row["emoji"]), row[f"{PIVOT}_name"], PIVOT) for row in rows],
            qrels=Qrels(grades, relevance_level=SAME_EMOJI),
            licence=self.licence,
            dropped={"topics without keywords": len(rows) - len(topics)},
        )

    def topic_texts(self, split: str, language: str) -> dict[str, str] | None:
        """Return the keywords in ``language``."""
        if language not in LANGUAGES:
            return None
        texts = ((code_points(row["emoji"]), _keywords(row, language)) for row in _rows(split, language))
        return {topic_id: text for topic_id, text in texts if text}

    def fingerprint(self) -> str:
        """Return a digest of the bundled table and the language."""
        settings = {"kind": self.kind, "role": "collection", "language": self.language}
        return fingerprint(settings, [bundled_digest(self.kind)])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class CldrRelevance(RelevanceDataset):
    """English keyword lists and the names they describe, from the training rows."""

    kind: Literal["cldr_annotations"] = "cldr_annotations"

    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield (keywords, name) in the order of the emoji; rows without keywords are dropped."""
        for row in _rows("train", PIVOT):
            if keywords := _keywords(row, PIVOT):
                yield RelevancePair(keywords, row[f"{PIVOT}_name"])
            else:
                counts.drop("rows without keywords")

    def fingerprint(self) -> str:
        """Return a digest of the bundled table."""
        return fingerprint({"kind": self.kind, "role": "relevance"}, [bundled_digest(self.kind)])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


def code_points(emoji: str) -> str:
    """Return the code points of ``emoji`` as an id: ``1F1F9-1F1FF``."""
    return "-".join(f"{ord(character):04X}" for character in emoji)


def _rows(split: str, *languages: str) -> Iterator[dict[str, Any]]:
    texts = [f"{language}_{part}" for language in dict.fromkeys(languages) for part in ("name", "keywords")]
    table = read_bundled("cldr_annotations", ["emoji", "subgroup", "split", *texts])
    return (row for row in table.to_pylist() if row["split"] == split)


def _keywords(row: dict[str, Any], language: str) -> str:
    name = normalise(row[f"{language}_name"])
    return ", ".join(keyword for keyword in row[f"{language}_keywords"] if normalise(keyword) != name)


def _require_language(field: str, language: str) -> None:
    if language not in LANGUAGES:
        raise InputError(f"{field}: {language!r} is not in cldr_annotations (has: {', '.join(LANGUAGES)})")
