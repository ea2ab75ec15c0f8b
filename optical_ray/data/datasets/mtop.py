"""MTOP (Li et al., EACL 2021): utterances to an assistant in six languages, with intents and slots; CC BY-SA 4.0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.examples import SENTENCES, write_rows
from optical_ray.data.input_files import InputFile, files_by_key, find_files
from optical_ray.data.text_files import read_columns
from optical_ray.data.utterance_datasets import UtteranceBitext, UtteranceCollection, UtteranceRelevance
from optical_ray.data.utterances import Utterance, UtteranceSource
from optical_ray.types import InputError

LICENCE = "CC BY-SA 4.0; MTOP"
FILE_NAME = re.compile(r"(?:^|.*/)([a-z]{2,3})/(train|eval|test)\.txt")
COLUMNS = {8: "id, intent, slots, utterance, domain, locale, decoupled form, tokens"}


@dataclass(frozen=True)
class MtopFiles(UtteranceSource):
    """The official layout, ``<language>/<partition>.txt``, in a folder or the official zip."""

    root: str

    def __str__(self) -> str:
        return self.root

    def partitions(self) -> dict[str, list[str]]:
        """Return language -> its partitions."""
        partitions: dict[str, list[str]] = {}
        for language, partition in self._files():
            partitions.setdefault(language, []).append(partition)
        return partitions

    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """Return the utterances of one file."""
        file = self._files()[language, partition]
        utterances: dict[str, Utterance] = {}
        for number, (identity, intent, slots, text, *_) in read_columns(file, COLUMNS):
            if identity in utterances:
                raise InputError(f"{file.name}:{number}: id {identity[:80]!r} occurs a second time; ids must be unique")
            names = {":".join(slot.split(":")[2:]) for slot in slots.split(",") if slot}
            utterances[identity] = Utterance(identity, text.strip(), intent, tuple(sorted(names)))
        return list(utterances.values())

    def digests(self) -> list[str]:
        """Return language, partition and digest of each file."""
        return [f"{language}/{partition} {file.digest()}" for (language, partition), file in self._files().items()]

    def _files(self) -> dict[tuple[str, str], InputFile]:
        matched = ((FILE_NAME.fullmatch(file.relative), file) for file in find_files(self.root))
        files = files_by_key(((match[1], match[2]), file) for match, file in matched if match)
        if not files:
            raise InputError(f"{self.root}: no MTOP here; expected files such as en/train.txt, hi/test.txt")
        return dict(sorted(files.items()))


def _write_example(folder: Path) -> dict[str, Any]:
    for language, texts in SENTENCES.items():
        for part in ("train", "eval", "test"):
            rows = (
                (f"{part}{i}", f"IN:{i % 3}", "0:3:SL:X", f"{texts[i % 3]} {part} {i}", "alarm", language, "", "{}")
                for i in range(9)
            )
            write_rows(folder / language / f"{part}.txt", rows)
    return {"root": str(folder)}


@dataclass(frozen=True, kw_only=True)
class MtopBitext(UtteranceBitext):
    """Training utterances paired by their shared ids."""

    kind: Literal["mtop"] = "mtop"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write nine utterances a partition in two languages."""
        return _write_example(folder)

    def source(self) -> MtopFiles:
        """Return the reader of the files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MtopCollection(UtteranceCollection):
    """Utterances as topics and documents; relevant by intent (the headline), translation or frame."""

    kind: Literal["mtop"] = "mtop"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write nine utterances a partition in two languages."""
        return {**_write_example(folder), "language": "sw"}

    def source(self) -> MtopFiles:
        """Return the reader of the files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MtopRelevance(UtteranceRelevance):
    """Pairs of training utterances with the same intent."""

    kind: Literal["mtop"] = "mtop"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write nine utterances a partition in two languages."""
        return _write_example(folder)

    def source(self) -> MtopFiles:
        """Return the reader of the files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE
