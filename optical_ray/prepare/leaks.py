"""Which training pairs hold the text of an evaluation topic or document: found once per (shard, collections)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from optical_ray.config.key import digest
from optical_ray.data.interface import Counts, RelevanceDataset
from optical_ray.data.leaks import EvaluationTexts, find_leaks
from optical_ray.data.shards import ShardReader
from optical_ray.prepare.cache import MANIFEST, Cache
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.study.files import read_json

KIND = "leaks"


@dataclass(frozen=True)
class LeakCheck:
    """Shards are compared with the texts of ``sources``; those are read only where a comparison is missing."""

    sources: Sequence[CollectionSource]
    cache: Cache

    @property
    def targets(self) -> tuple[str, ...]:
        """The collections that are looked at."""
        return tuple(dict.fromkeys(source.target for source in self.sources))

    def folders(self, shards: Iterable[Path]) -> dict[Path, Path]:
        """For each shard the cache entry with ``rows.npy``, the rows that give evaluation text away, and the counts."""
        return {shard: self._entry(shard) for shard in dict.fromkeys(shards)}

    @cached_property
    def _texts(self) -> EvaluationTexts:
        texts = EvaluationTexts()
        for source in self.sources:
            texts.add_collection(source.target, source.collection)
        return texts

    def _key(self, name: str) -> str:
        return digest([name, sorted([s.target, s.split, s.fingerprint] for s in self.sources)])

    def relevance(self, dataset: RelevanceDataset, fingerprint: str) -> dict[str, int]:
        """How many of a teacher's pairs there are, and how many have an evaluation text as query or as document.

        They are counted and not dropped: passages that teacher and evaluation share are how collections are made.
        """

        def build(folder: Path) -> dict[str, object]:
            sharing = Counter(
                side
                for pair in dataset.pairs(Counts())
                for side, text in (("pairs", ""), ("queries", pair.query), ("documents", pair.document))
                if side == "pairs" or self._texts.sets_with(text)
            )
            return {side: sharing[side] for side in ("pairs", "queries", "documents")}

        found: dict[str, int] = read_json(self.cache.entry(KIND, self._key(fingerprint), build) / MANIFEST)
        return found

    def _entry(self, shard: Path) -> Path:
        def build(folder: Path) -> dict[str, object]:
            reader = ShardReader(shard)
            found = find_leaks(reader.batches(), self._texts)
            np.save(folder / "rows.npy", found.rows)
            rows_digest = hashlib.sha256(found.rows.astype("<i8").tobytes()).hexdigest()
            return {"pairs": len(reader), "leaks": len(found.rows), "digest": rows_digest, "sets": found.counts}

        return self.cache.entry(KIND, self._key(shard.name), build)


def leak_digests(folders: Mapping[str, Sequence[Path]], languages: Iterable[str]) -> dict[str, list[str]]:
    """What of the leaks changes a student of ``languages``: digests of the rows that are dropped; empty where none."""
    found = {}
    for language in languages:
        manifests = [read_json(folder / MANIFEST) for folder in folders.get(language, ())]
        if any(manifest["leaks"] for manifest in manifests):
            found[language] = [manifest["digest"] for manifest in manifests]
    return found


def leak_report(names: Sequence[str], folders: Mapping[str, Sequence[Path]], check: LeakCheck) -> dict[str, Any]:
    """Pairs looked at and pairs found, for each bitext and language with a leak the sets that it gives away."""
    manifests = [
        (name, language, read_json(folder / MANIFEST))
        for language, parts in folders.items()
        for name, folder in zip(names, parts, strict=True)
    ]
    return {
        "collections": list(check.targets),
        "pairs": sum(manifest["pairs"] for _, _, manifest in manifests),
        "leaks": sum(manifest["leaks"] for _, _, manifest in manifests),
        "found": [
            {
                "bitext": name,
                "language": language,
                "pairs": manifest["pairs"],
                "leaks": manifest["leaks"],
                "sets": {where: count for where, count in manifest["sets"].items() if count},
            }
            for name, language, manifest in manifests
            if manifest["leaks"]
        ],
    }
