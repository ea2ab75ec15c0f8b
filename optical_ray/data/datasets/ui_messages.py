"""User-interface messages of Chromium and Kolibri (bundled): 6,495 English messages and their translations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from optical_ray.data.bundled_tables import bundled_digest, column_languages, column_pairs
from optical_ray.data.interface import BitextDataset, Counts, fingerprint, pair_batches
from optical_ray.data.languages import Language
from optical_ray.types import InputError


@dataclass(frozen=True, kw_only=True)
class UiMessagesBitext(BitextDataset):
    """Messages of the chosen ``sources`` in 23 languages; ids are shared by all languages.

    Chromium has no so, ha, yo; Kolibri has ha and yo: languages differ in amount and domain. ``parallel_languages``
    keeps only messages that all of these have, in every language.
    """

    kind: Literal["ui_messages"] = "ui_messages"
    sources: tuple[Literal["chromium", "kolibri"], ...] = ("chromium", "kolibri")
    parallel_languages: tuple[Language, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources or not set(self.sources) <= {"chromium", "kolibri"}:
            raise InputError(f"sources: must name chromium, kolibri or both, got {list(self.sources)}")

    def languages(self) -> tuple[str, ...]:
        """Return the languages of the chosen sources, sorted."""
        return column_languages(self.kind, self.sources)

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the messages in the order of the table."""
        yield from pair_batches(
            column_pairs(self.kind, self.sources, self.parallel_languages, language, counts), counts
        )

    def fingerprint(self) -> str:
        """Return a digest of the bundled table, the sources and the parallel languages."""
        settings = {
            "kind": self.kind,
            "sources": sorted(set(self.sources)),
            "parallel_languages": sorted(set(self.parallel_languages)),
        }
        return fingerprint(settings, [bundled_digest(self.kind)])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        named = {"chromium": "BSD-3-Clause (Chromium 156)", "kolibri": "MIT (Kolibri 0.19.5)"}
        return "; ".join(named[source] for source in sorted(set(self.sources))) + ", user-interface messages, bundled"
