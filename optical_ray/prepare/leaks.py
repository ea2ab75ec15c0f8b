"""Which training pairs hold the text of an evaluation topic or document: found once per (shard, collections)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optical_ray.config.key import digest
from optical_ray.data.leaks import EvaluationTexts, find_leaks
from optical_ray.data.shards import ShardReader
from optical_ray.prepare.cache import MANIFEST, Cache
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.storage import read_json

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
        shards = list(dict.fromkeys(shards))
        texts = None
        if not all(self.cache.has(KIND, self._key(shard)) for shard in shards):
            texts = EvaluationTexts()
            for source in self.sources:
                texts.add_collection(source.target, source.collection)
        return {shard: self._entry(shard, texts) for shard in shards}

    def _key(self, shard: Path) -> str:
        return digest([shard.name, sorted([s.target, s.split, s.fingerprint] for s in self.sources)])

    def _entry(self, shard: Path, texts: EvaluationTexts | None) -> Path:
        def build(folder: Path) -> dict[str, object]:
            assert texts is not None
            reader = ShardReader(shard)
            found = find_leaks(reader.batches(), texts)
            np.save(folder / "rows.npy", found.rows)
            rows_digest = hashlib.sha256(found.rows.astype("<i8").tobytes()).hexdigest()
            return {"pairs": len(reader), "leaks": len(found.rows), "digest": rows_digest, "sets": found.counts}

        return self.cache.entry(KIND, self._key(shard), build)


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
