"""Training pairs that contain the text of an evaluation topic or document, found once per shard and collections."""

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
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.study.files import read_json
from optical_ray.study.layout import MANIFEST_FILE

KIND = "leaks"

COMPARISON = 2
"""Version of the comparison; part of the cache entry's key."""


@dataclass(frozen=True)
class LeakCheck:
    """Compares shards with the texts of ``sources``, which are read only if a comparison is not in the cache."""

    sources: Sequence[CollectionSource]
    cache: Cache

    @property
    def targets(self) -> tuple[str, ...]:
        """The collections that are compared."""
        return tuple(dict.fromkeys(source.target for source in self.sources))

    def folders(self, shards: Iterable[Path]) -> dict[Path, Path]:
        """Return for each shard the cache entry with ``rows.npy``, the leaked rows, and their counts."""
        return {shard: self._entry(shard) for shard in dict.fromkeys(shards)}

    @cached_property
    def _texts(self) -> EvaluationTexts:
        texts = EvaluationTexts()
        for source in self.sources:
            texts.add_collection(source.target, source.collection)
        return texts

    def _key(self, name: str) -> str:
        return digest([name, COMPARISON, sorted([s.target, s.split, s.fingerprint] for s in self.sources)])

    def relevance(self, dataset: RelevanceDataset, fingerprint: str) -> dict[str, int]:
        """Count a teacher's pairs, and those with an evaluation text as query or as document.

        They are counted but not dropped: a teacher usually trains on passages of the collection that it searches.
        """

        def build(folder: Path) -> dict[str, object]:
            sharing = Counter(
                side
                for pair in dataset.pairs(Counts())
                for side, text in (("pairs", ""), ("queries", pair.query), ("documents", pair.document))
                if side == "pairs" or self._texts.sets_with(text)
            )
            return {side: sharing[side] for side in ("pairs", "queries", "documents")}

        counts: dict[str, int] = read_json(self.cache.entry(KIND, self._key(fingerprint), build) / MANIFEST_FILE)
        return counts

    def _entry(self, shard: Path) -> Path:
        def build(folder: Path) -> dict[str, object]:
            reader = ShardReader(shard)
            leaks = find_leaks(reader.batches(), self._texts)
            np.save(folder / "rows.npy", leaks.rows)
            return {
                "pairs": len(reader),
                "leaks": len(leaks.rows),
                "near_identical": leaks.near_identical,
                "digest": hashlib.sha256(leaks.rows.astype("<i8").tobytes()).hexdigest(),
                "sets": leaks.counts,
            }

        return self.cache.entry(KIND, self._key(shard.name), build)


def leak_digests(folders: Mapping[str, Sequence[Path]], languages: Iterable[str]) -> dict[str, list[str]]:
    """Return the digests of the dropped rows, which change a student, for each language with leaks."""
    digests = {}
    for language in languages:
        manifests = [read_json(folder / MANIFEST_FILE) for folder in folders.get(language, ())]
        if any(manifest["leaks"] for manifest in manifests):
            digests[language] = [manifest["digest"] for manifest in manifests]
    return digests


def leak_report(names: Sequence[str], folders: Mapping[str, Sequence[Path]], check: LeakCheck) -> dict[str, Any]:
    """Return the numbers of pairs and leaks, and for each bitext and language with leaks the sets they belong to."""
    manifests = [
        (name, language, read_json(folder / MANIFEST_FILE))
        for language, parts in folders.items()
        for name, folder in zip(names, parts, strict=True)
    ]
    return {
        "collections": list(check.targets),
        "pairs": sum(manifest["pairs"] for _, _, manifest in manifests),
        "leaks": sum(manifest["leaks"] for _, _, manifest in manifests),
        "near_identical": sum(manifest["near_identical"] for _, _, manifest in manifests),
        "found": [
            {
                "bitext": name,
                "language": language,
                "pairs": manifest["pairs"],
                "leaks": manifest["leaks"],
                "near_identical": manifest["near_identical"],
                "sets": {name: count for name, count in manifest["sets"].items() if count},
            }
            for name, language, manifest in manifests
            if manifest["leaks"]
        ],
    }
