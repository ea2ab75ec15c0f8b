"""A trial: everything that can change a number, and nothing that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from optical_ray.config.choices import Block, EncoderChoice, LossChoice
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport

if TYPE_CHECKING:
    EncoderBlock = EncoderConfig
    LossBlock = Loss
else:
    EncoderBlock = EncoderChoice
    LossBlock = LossChoice

SUBSET_SIGN = "+"


class TeacherTraining(Block):
    """The study's first stage: contrastive MaxSim with in-batch negatives on query-document pairs of the pivot."""

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


class StudentConfig(Block):
    """Where the student starts, and what of it stays as it is."""

    init: Literal["teacher"] | EncoderBlock = "teacher"
    freeze_embeddings: bool = False


class BitextConfig(Block):
    """Which sentence pairs a student sees."""

    bitext: tuple[str, ...] = Field(min_length=1)
    """Names under ``data.bitext``."""
    source_languages: tuple[str, ...] = Field(min_length=1)
    pairs: int | None = Field(None, ge=1)
    """The budget; ``None``: all that there is."""
    budget: Literal["fixed_total", "per_language"] = "fixed_total"
    content: Literal["independent", "matched"] = "independent"
    """``matched``: the same pivot sentences in every source language (a multi-parallel bitext)."""
    subsample_seed: int = 0
    """Of the choice of pairs within the budget; replicates share it."""
    temperature: float = Field(1.0, gt=0)
    repeat: bool = False
    batch_size: int = Field(64, ge=1)
    max_length: int = Field(32, ge=4)
    """Pieces of a sentence at most, specials included."""
    read_as: Literal["query", "document"] = "query"
    """The marker that both sides carry."""
    leaks: Literal["drop", "keep"] = Field("drop", json_schema_extra={"since": 2})
    """What becomes of pairs that hold the text of an evaluation topic or document."""

    @field_validator("source_languages", mode="before")
    @classmethod
    def _label(cls, value: Any) -> Any:
        """Accept the label ``"de+hi"`` for the set of both."""
        languages = value.split(SUBSET_SIGN) if isinstance(value, str) else value
        return sorted(set(filter(None, languages))) if isinstance(languages, (list, tuple)) else languages


class AnchorConfig(Block):
    """The pivot's side of a pair: the student stays near the teacher on it."""

    weight: float = Field(0.5, ge=0)


class OptimizerConfig(Block):
    """AdamW with linear warm-up and linear decay."""

    learning_rate: float = Field(5e-4, gt=0)
    steps: int = Field(300, ge=1)
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)


class TrialConfig(Block):
    """One student's whole configuration, but for the seed."""

    teacher: EncoderBlock
    teacher_training: TeacherTraining | None = None
    student: StudentConfig = StudentConfig()
    data: BitextConfig
    anchor: AnchorConfig = AnchorConfig()
    loss: LossBlock = OptimalTransport()
    optimizer: OptimizerConfig = OptimizerConfig()

    @model_validator(mode="after")
    def _whole(self) -> TrialConfig:
        if not self.teacher.is_trained and self.teacher_training is None:
            raise ValueError(
                f"teacher_training: a teacher of kind {self.teacher.kind!r} has new weights; "
                "say what to train it on, e.g. {data: [en], steps: 400}"
            )
        if self.student.init != "teacher" and not self.student.init.is_trained:
            raise ValueError(
                f"student.init: kind {self.student.init.kind!r} has new weights that nothing trains; "
                "use 'teacher' or a pretrained encoder"
            )
        encoders = [self.teacher] if self.student.init == "teacher" else [self.teacher, self.student.init]
        longest = min(max(encoder.query_length, encoder.document_length) for encoder in encoders)
        if self.data.max_length > longest:
            raise ValueError(f"data.max_length: the encoder reads {longest} pieces at most, got {self.data.max_length}")
        return self
