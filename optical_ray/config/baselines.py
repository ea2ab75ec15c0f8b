"""Baselines that students are compared with, and controls. They are not part of a trial's key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from optical_ray.config.choices import Block
from optical_ray.config.names import check_file_name
from optical_ray.config.space import Params
from optical_ray.study.layout import UNDISTILLED

TopicFiles = Literal["pivot"] | dict[str, str]
"""``pivot``: the collection's own topics in the language of its documents; otherwise a file of topics per target."""


class TopicBaseline(Block):
    """Searches with topics in the language of the documents."""

    topics: TopicFiles = "pivot"
    """Files are TSV (``id, text``) or JSONL, e.g. machine translations."""
    language: str = "en"
    """The language of the topics."""


class Bm25(TopicBaseline):
    """Lexical search with Lucene's BM25 (Robertson and Zaragoza 2009); needs the package bm25s."""

    kind: Literal["bm25"] = "bm25"
    k1: float = Field(0.9, ge=0)
    b: float = Field(0.4, ge=0, le=1)


class TeacherTopics(TopicBaseline):
    """The teacher with topics in the language of the documents: an estimate of the loss across languages."""

    kind: Literal["teacher_english"] = "teacher_english"


class Control(Block):
    """Students that are trained like the spec's ``trial``, with every seed, but on other pairs.

    ``en``: pairs of a pivot sentence and itself, so that no other language is seen; ``shuffled``: each pivot sentence
    with the translation of another, so that the language is seen but not its meaning. ``params`` change the trial by
    dotted path.
    """

    kind: Literal["en", "shuffled"]
    params: Params = Field(default_factory=dict)


class RunFile(Block):
    """A run of another system in TREC's format; ``{target}`` in the path stands for the target."""

    kind: Literal["run"] = "run"
    run: str | dict[str, str]

    @field_validator("run")
    @classmethod
    def _not_empty(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        if value == "" or value == {}:
            raise ValueError(f"run: empty (got {value!r}); give the path of a TREC run, or one per target")
        return value

    def path(self, target: str) -> str | None:
        """The path of the run of ``target``, or None if it has no run."""
        return self.run.replace("{target}", target) if isinstance(self.run, str) else self.run.get(target)


Baseline = Annotated[Bm25 | TeacherTopics | Control | RunFile, Field(discriminator="kind")]
KINDS = ("bm25", "teacher_english", "en", "shuffled", "run")


def _by_name(value: Any) -> Any:
    """Read ``[bm25, en]`` as a mapping; without a ``kind``, a block's name, ``run`` or ``topics`` determine it."""
    if isinstance(value, (list, tuple)):
        value = {_check_name(name): None for name in value}
    return (
        {name: _with_kind(_check_name(name), block) for name, block in value.items()}
        if isinstance(value, dict)
        else value
    )


def _check_name(value: Any) -> str:
    name = check_file_name("a baseline's name", value)
    if name == UNDISTILLED:
        raise ValueError(f"{name}: every study has this baseline. Leave it out.")
    return name


def _with_kind(name: str, block: Any) -> Any:
    block = {} if block is None or block is True else block
    if not isinstance(block, dict) or "kind" in block:
        return block
    kind = name if name in KINDS else "run" if "run" in block else "bm25" if "topics" in block else None
    if kind is None:
        raise ValueError(f"{name}: kind is missing. Use one of {', '.join(KINDS)}.")
    return {"kind": kind, **block}


Baselines = Annotated[dict[str, Baseline], BeforeValidator(_by_name)]


class Bm25Stage(Bm25):
    """BM25 selects the documents that are ranked."""

    depth: int = Field(1000, ge=1)


class RunStage(RunFile):
    """A run file selects the documents that are ranked."""

    depth: int = Field(1000, ge=1)


FirstStage = Annotated[Bm25Stage | RunStage, Field(discriminator="kind")]
