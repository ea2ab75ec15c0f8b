"""The configuration of a trial: everything that changes its results, and nothing else."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from optical_ray.config.choices import Block, EncoderChoice, LossChoice
from optical_ray.data.languages import Language, require_language
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.types import InputError

if TYPE_CHECKING:
    EncoderBlock = EncoderConfig
    LossBlock = Loss
else:
    EncoderBlock = EncoderChoice
    LossBlock = LossChoice

SUBSET_SIGN = "+"


class TeacherTraining(Block):
    """Training of the teacher: contrastive MaxSim with in-batch negatives on query-document pairs of the pivot.

    ``negatives``: hard negatives per query; if a query has fewer, they are repeated. ``kl_weight``: weight, in addition
    to the contrastive loss, of the divergence from a cross-encoder's scores of a query's own document and negatives
    (Santhanam et al. 2022, ColBERTv2).
    """

    data: tuple[str, ...] = Field(min_length=1)
    """Names under ``data.relevance``."""
    steps: int = Field(400, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    temperature: float = Field(0.05, gt=0)
    seed: int = 0
    negatives: int = Field(0, ge=0, json_schema_extra={"since": 2})
    kl_weight: float = Field(0.0, ge=0, json_schema_extra={"since": 2})

    @model_validator(mode="after")
    def _judged(self) -> TeacherTraining:
        if self.kl_weight and not self.negatives:
            raise ValueError("kl_weight: compares the scores of hard negatives (got negatives: 0): set negatives too")
        return self


class LoraConfig(Block):
    """Low-rank adapters in place of full fine-tuning (Hu et al. 2021, arXiv 2106.09685), through ``peft``.

    The projection is trained in full; at the end the adapters are merged into the weights.
    """

    rank: int = Field(8, ge=1)
    alpha: int = Field(16, ge=1)
    """The adapters' output is scaled by ``alpha / rank``."""
    modules: tuple[Literal["query", "key", "value", "dense"], ...] = Field(("query", "value"), min_length=1)

    @model_validator(mode="after")
    def _installed(self) -> LoraConfig:
        if importlib.util.find_spec("peft") is None:
            raise ValueError("lora: needs the package peft: pip install 'optical-ray[lora]', or leave lora out")
        return self


class StudentConfig(Block):
    """The student's initial weights, which of them are trained, and how."""

    init: Literal["teacher"] | EncoderBlock = "teacher"
    freeze_embeddings: bool = False
    lora: LoraConfig | None = Field(None, json_schema_extra={"since": 2})
    """``None``: all weights are trained; otherwise the adapters and the projection."""
    gradient_checkpointing: bool = Field(False, json_schema_extra={"since": 2})
    """Recompute each layer in the backward pass: less memory, about a third more time."""
    precision: Literal["float32", "bfloat16"] = Field("float32", json_schema_extra={"since": 2})
    """The type that the student computes in during training; weights, loss and transport are always float32."""


class BitextConfig(Block):
    """Which sentence pairs a student sees."""

    bitext: tuple[str, ...] = Field(min_length=1)
    """Names under ``data.bitext``."""
    source_languages: tuple[Language, ...] = Field(min_length=1)
    pairs: int | None = Field(None, ge=1)
    """The budget; ``None``: all pairs."""
    budget: Literal["fixed_total", "per_language"] = "fixed_total"
    content: Literal["independent", "matched"] = "independent"
    """``matched``: the same pivot sentences in every source language (a multi-parallel bitext)."""
    subsample_seed: int = 0
    """Seed of the choice of pairs within the budget; the same for all seeds of a trial."""
    temperature: float = Field(1.0, gt=0)
    repeat: bool = False
    batch_size: int = Field(64, ge=1)
    max_length: int = Field(32, ge=4)
    """Maximum number of tokens of a sentence, special tokens included."""
    read_as: Literal["query", "document"] = "query"
    """The marker of both sides of a pair."""
    leaks: Literal["drop", "keep"] = Field("drop", json_schema_extra={"since": 2})
    """Whether pairs that contain the text of an evaluation topic or document are dropped."""

    @field_validator("source_languages", mode="before")
    @classmethod
    def _label(cls, value: Any) -> Any:
        """Accept the label ``"de+hi"`` for the set of both; sort the languages and remove repeated ones."""
        languages = value.split(SUBSET_SIGN) if isinstance(value, str) else value
        return sorted(set(map(require_language, languages))) if isinstance(languages, (list, tuple)) else languages


class AnchorConfig(Block):
    """The anchor term of the loss, which keeps the student near the teacher on the pivot's side of a pair."""

    weight: float = Field(0.5, ge=0)


class OptimizerConfig(Block):
    """AdamW with linear warm-up and linear decay."""

    learning_rate: float = Field(5e-4, gt=0)
    steps: int = Field(300, ge=1)
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)


class TrialConfig(Block):
    """The configuration of one student except for the seed."""

    teacher: EncoderBlock
    teacher_training: TeacherTraining | None = None
    student: StudentConfig = StudentConfig()
    data: BitextConfig
    anchor: AnchorConfig = AnchorConfig()
    loss: LossBlock = OptimalTransport()
    optimizer: OptimizerConfig = OptimizerConfig()

    @model_validator(mode="after")
    def _consistent(self) -> TrialConfig:
        if not self.teacher.is_trained and self.teacher_training is None:
            raise ValueError(
                f"teacher_training: missing, and a teacher of kind {self.teacher.kind!r} is randomly initialised. "
                "Name the data to train it on, e.g. {data: [en], steps: 400}."
            )
        if self.student.init != "teacher" and not self.student.init.is_trained:
            raise ValueError(
                f"student.init: kind {self.student.init.kind!r} is randomly initialised and would not be trained. "
                "Use 'teacher' or a pretrained encoder."
            )
        encoders = [self.teacher] if self.student.init == "teacher" else [self.teacher, self.student.init]
        names = ("teacher", "student.init")
        widths = [_width(name, encoder) for name, encoder in zip(names, encoders, strict=False)]
        if len(set(widths) - {None}) > 1:
            raise ValueError(widths_differ(*widths))
        longest = min(max(encoder.query_length, encoder.document_length) for encoder in encoders)
        if self.data.max_length > longest:
            raise ValueError(f"data.max_length: must be <= {longest}, the encoder's limit, got {self.data.max_length}")
        return self


def widths_differ(teacher: int | None, student: int | None) -> str:
    """The message for a student and a teacher with vectors of different widths."""
    return (
        f"student.init.dim: the student's vectors have {student} numbers, the teacher's {teacher}; set "
        f"student.init.dim: {teacher}, or teacher.dim: {student} if its checkpoint has no projection"
    )


def reads_idf(trial: TrialConfig) -> bool:
    """Whether the trial's loss weighs tokens by their inverse document frequency."""
    losses = (trial.loss, *(term.loss for term in getattr(trial.loss, "terms", ())))
    return any(getattr(loss, "marginals", None) == "idf" for loss in losses)


def trims_vocabulary(trial: TrialConfig) -> bool:
    """Whether an encoder of the trial keeps only the tokens of the study's text."""
    init = trial.teacher if trial.student.init == "teacher" else trial.student.init
    return trial.teacher.trim_vocabulary or init.trim_vocabulary


def _width(name: str, encoder: EncoderConfig) -> int | None:
    """Width of an encoder's vectors, or None if it is unknown before a download; ``ValueError`` if a file is bad."""
    try:
        return encoder.width_before_download()
    except InputError as error:
        raise ValueError(f"{name}.{error}") from error
