"""What all trials of a study share, as folders that every node can read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Models:
    """Encoders, and the teacher's token embeddings of all pivot sentences.

    ``embeddings`` is None if the teacher runs inside the training step; ``share_tokenizer`` tells whether teacher and
    student tokenize text alike.
    """

    teacher: Path
    initial_student: Path
    embeddings: Path | None
    share_tokenizer: bool


@dataclass(frozen=True)
class Bitext:
    """Tokenized sentence pairs by source language, one folder for each bitext of the spec.

    ``leaks`` holds, in the same order, folders that list the pairs which contain evaluation text.
    """

    tokens: Mapping[str, tuple[Path, ...]]
    leaks: Mapping[str, tuple[Path, ...]]

    def only(self, languages: Iterable[str]) -> Bitext:
        """The same for some of the languages."""
        names = tuple(languages)
        return Bitext({name: self.tokens[name] for name in names}, {name: self.leaks.get(name, ()) for name in names})

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of all languages in one sequence."""
        return tuple(folder for folders in self.tokens.values() for folder in folders)


@dataclass(frozen=True)
class Scoring:
    """What an encoder is scored on.

    ``collections`` are folders of encoded collections; ``documents`` tells which model encodes the documents
    (``student`` or ``teacher``).
    """

    collections: tuple[Path, ...]
    metrics: tuple[str, ...]
    documents: str


@dataclass(frozen=True)
class Digests:
    """What identifies the models and data that a trial's key depends on."""

    teacher: str
    initial_student: str
    bitext: Mapping[str, str]
    """By the bitext's name in the spec."""


@dataclass(frozen=True)
class Inputs:
    """Everything that ``prepare`` makes and trials read."""

    models: Models
    bitext: Bitext
    scoring: Scoring
    digests: Digests

    def only(self, languages: Iterable[str]) -> Inputs:
        """The same with the bitext of some source languages."""
        return replace(self, bitext=self.bitext.only(languages))
