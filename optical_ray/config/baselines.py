"""Rows beside the trials: what a distilled student must beat, and controls. Nothing here is in a trial's key."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from optical_ray.config.choices import Block
from optical_ray.config.space import Params
from optical_ray.study.layout import UNDISTILLED

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

TopicFiles = Literal["pivot"] | dict[str, str]
"""``pivot``: the collection's own topics in its documents' language; or a file of topics for each target."""


class TopicBaseline(Block):
    """Searches with topics in the language of the documents."""

    topics: TopicFiles = "pivot"
    """Files: TSV ``id, text`` or JSONL by target, e.g. translations by a machine."""
    language: str = "en"
    """Of these topics."""


class Bm25(TopicBaseline):
    """Lexical search (Robertson and Zaragoza 2009) as Lucene does it; needs the package bm25s."""

    kind: Literal["bm25"] = "bm25"
    k1: float = Field(0.9, ge=0)
    b: float = Field(0.4, ge=0, le=1)


class TeacherTopics(TopicBaseline):
    """The teacher reads such topics: what is lost between languages is what lies below it."""

    kind: Literal["teacher_english"] = "teacher_english"


class Control(Block):
    """Students distilled like a trial, with the spec's own ``trial`` and every seed, but on other pairs.

    ``en``: the pivot onto itself (no other language is seen); ``shuffled``: each pivot sentence with the translation of
    another (the language is seen, its meaning is not). ``params`` change the trial, as ``start_with`` does.
    """

    kind: Literal["en", "shuffled"]
    params: Params = Field(default_factory=dict)


class RunFile(Block):
    """A run that somebody else made, in TREC's format; ``{target}`` in the path stands for the target."""

    kind: Literal["run"] = "run"
    run: str | dict[str, str]

    @field_validator("run")
    @classmethod
    def _one_for_each(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        if value == "" or value == {}:
            raise ValueError("run: give the path of a TREC run, or one for each target")
        return value

    def path(self, target: str) -> str | None:
        """The run of ``target``; ``None`` where there is none."""
        return self.run.replace("{target}", target) if isinstance(self.run, str) else self.run.get(target)


Baseline = Annotated[Bm25 | TeacherTopics | Control | RunFile, Field(discriminator="kind")]
KINDS = ("bm25", "teacher_english", "en", "shuffled", "run")


def _named(value: Any) -> Any:
    """``[bm25, en]`` as a mapping; a block without ``kind`` has that of its name, its ``run`` or its ``topics``."""
    if isinstance(value, (list, tuple)):
        value = dict.fromkeys(value)
    if not isinstance(value, dict):
        return value
    return {name: _with_kind(str(name), block) for name, block in value.items()}


def _with_kind(name: str, block: Any) -> Any:
    if name == UNDISTILLED:
        raise ValueError(f"{name}: is always there; leave it out")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a baseline's name has letters, digits, '.', '_' and '-' alone")
    block = {} if block is None or block is True else block
    if not isinstance(block, dict) or "kind" in block:
        return block
    kind = name if name in KINDS else "run" if "run" in block else "bm25" if "topics" in block else None
    if kind is None:
        raise ValueError(f"{name}: say its kind, one of {', '.join(KINDS)}")
    return {"kind": kind, **block}


Baselines = Annotated[dict[str, Baseline], BeforeValidator(_named)]


class Bm25Stage(Bm25):
    """BM25 chooses the documents that are ranked."""

    depth: int = Field(1000, ge=1)


class RunStage(RunFile):
    """A run file chooses the documents that are ranked."""

    depth: int = Field(1000, ge=1)


FirstStage = Annotated[Bm25Stage | RunStage, Field(discriminator="kind")]
