"""MASSIVE (FitzGerald et al., ACL 2023): utterances to an assistant in 51 locales, intents and slots; CC BY 4.0."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.examples import sentence, write_objects
from optical_ray.data.input_files import InputFile, files_by_key, find_files
from optical_ray.data.text_files import read_objects, text_of
from optical_ray.data.utterance_datasets import UtteranceBitext, UtteranceCollection, UtteranceRelevance
from optical_ray.data.utterances import Utterance, UtteranceSource
from optical_ray.types import InputError

LICENCE = "CC BY 4.0; MASSIVE"
LOCALE = re.compile(r"([a-z]{2,3})-([A-Z]{2})\.jsonl")
SLOT = re.compile(r"\[\s*([^:\[\]]+?)\s*:")
PARTITIONS = ("dev", "test", "train")
FIELDS = ("id", "partition", "intent", "utt", "annot_utt")


@dataclass(frozen=True)
class MassiveFiles(UtteranceSource):
    """One ``<locale>.jsonl`` for each locale, in a folder or the official ``.tar.gz``.

    A language is named by its code (``sw`` for ``sw-KE``) if it has one locale, else by its locale (``zh-TW``).
    """

    root: str

    def __str__(self) -> str:
        return self.root

    def partitions(self) -> dict[str, tuple[str, ...]]:
        """Return language -> partitions; every official file has all three."""
        return dict.fromkeys(self._files(), PARTITIONS)

    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """Return the utterances of one partition of one file."""
        file = self._files()[language]
        utterances: dict[str, Utterance] = {}
        for where, record in self._records(file):
            if record["partition"] != partition:
                continue
            identity, intent, text, annotated = (
                text_of(record[k], where, k) for k in ("id", "intent", "utt", "annot_utt")
            )
            if identity in utterances:
                raise InputError(
                    f"{where}: id {identity[:80]!r} occurs a second time in {partition}; ids must be unique"
                )
            utterances[identity] = Utterance(
                identity, text.strip(), intent, tuple(sorted(set(SLOT.findall(annotated))))
            )
        if not utterances:
            raise InputError(f"{file.name}: no utterance of partition {partition!r}; check that the file is complete")
        return list(utterances.values())

    def digests(self) -> list[str]:
        """Return language and digest of each file."""
        return [f"{language} {file.digest()}" for language, file in self._files().items()]

    def _records(self, file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            if missing := [name for name in FIELDS if name not in record]:
                raise InputError(f"{where}: lacks {', '.join(missing)}; expected {', '.join(FIELDS)}")
            if record["partition"] not in PARTITIONS:
                raise InputError(
                    f"{where}: partition must be one of {', '.join(PARTITIONS)}, got {str(record['partition'])[:40]!r}"
                )
            yield where, record

    def _files(self) -> dict[str, InputFile]:
        matched = ((LOCALE.fullmatch(file.base), file) for file in find_files(self.root))
        by_locale = files_by_key(((match[1], match[2]), file) for match, file in matched if match)
        if not by_locale:
            raise InputError(f"{self.root}: no MASSIVE here; expected files such as en-US.jsonl, sw-KE.jsonl")
        codes = [code for code, _ in by_locale]
        return {
            code if codes.count(code) == 1 else f"{code}-{region}": file
            for (code, region), file in sorted(by_locale.items(), key=lambda item: item[0])
        }


def _write_example(folder: Path) -> dict[str, Any]:
    for language, locale in (("en", "en-US"), ("sw", "sw-KE")):
        records = (
            {"id": str(i), "partition": partition, "intent": f"{i % 3}", "scenario": "", "locale": locale}
            | {"utt": sentence(language, i), "annot_utt": f"[what : it] {i}"}
            for i, partition in enumerate(["train"] * 9 + ["dev"] * 9 + ["test"] * 9)
        )
        write_objects(folder / f"{locale}.jsonl", records)
    return {"root": str(folder)}


@dataclass(frozen=True, kw_only=True)
class MassiveBitext(UtteranceBitext):
    """Training utterances paired by their shared ids; all locales have all of them."""

    kind: Literal["massive"] = "massive"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 27 utterances in two locales."""
        return _write_example(folder)

    def source(self) -> MassiveFiles:
        """Return the reader of the files."""
        return MassiveFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MassiveCollection(UtteranceCollection):
    """Utterances as topics and documents; relevant by intent (the headline), translation or frame."""

    kind: Literal["massive"] = "massive"
    eval_partition: str = "dev"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 27 utterances in two locales."""
        return {**_write_example(folder), "language": "sw"}

    def source(self) -> MassiveFiles:
        """Return the reader of the files."""
        return MassiveFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MassiveRelevance(UtteranceRelevance):
    """Pairs of training utterances with the same intent."""

    kind: Literal["massive"] = "massive"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 27 utterances in two locales."""
        return _write_example(folder)

    def source(self) -> MassiveFiles:
        """Return the reader of the files."""
        return MassiveFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE
