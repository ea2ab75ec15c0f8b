"""MTOP (Li et al., EACL 2021): utterances to an assistant in six languages, with intents and slots; CC BY-SA 4.0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optical_ray.data.input_files import InputFile, find_files
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
        """Language -> partitions that it has."""
        found: dict[str, list[str]] = {}
        for language, partition in sorted(self._files()):
            found.setdefault(language, []).append(partition)
        return found

    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """The utterances of one file."""
        file = self._files()[language, partition]
        utterances: dict[str, Utterance] = {}
        for number, (identity, intent, slots, text, *_) in read_columns(file, COLUMNS):
            if identity in utterances:
                raise InputError(f"{file.name}:{number}: id {identity!r} occurs a second time; ids must be unique")
            names = {":".join(slot.split(":")[2:]) for slot in slots.split(",") if slot}
            utterances[identity] = Utterance(identity, text.strip(), intent, tuple(sorted(names)))
        return list(utterances.values())

    def digests(self) -> list[str]:
        """Language, partition and digest of each file."""
        return [f"{language}/{partition} {file.digest()}" for (language, partition), file in self._files().items()]

    def _files(self) -> dict[tuple[str, str], InputFile]:
        matched = ((FILE_NAME.fullmatch(file.relative), file) for file in find_files(self.root))
        files = {(match[1], match[2]): file for match, file in matched if match}
        if not files:
            raise InputError(f"{self.root}: no MTOP here; expected files such as en/train.txt, hi/test.txt")
        return dict(sorted(files.items()))


@dataclass(frozen=True, kw_only=True)
class MtopBitext(UtteranceBitext):
    """Training utterances paired by their shared ids."""

    kind: Literal["mtop"] = "mtop"

    def source(self) -> MtopFiles:
        """The files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MtopCollection(UtteranceCollection):
    """Utterances as topics and documents; relevant by intent (the headline), translation or frame."""

    kind: Literal["mtop"] = "mtop"

    def source(self) -> MtopFiles:
        """The files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE


@dataclass(frozen=True, kw_only=True)
class MtopRelevance(UtteranceRelevance):
    """Pairs of training utterances with the same intent."""

    kind: Literal["mtop"] = "mtop"

    def source(self) -> MtopFiles:
        """The files."""
        return MtopFiles(self.root)

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE
