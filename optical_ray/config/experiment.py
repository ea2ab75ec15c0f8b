"""The spec of a study: data, the trial's defaults, search space, evaluation and resources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from optical_ray.config.baselines import Baselines, FirstStage
from optical_ray.config.choices import BitextChoice, Block, CollectionChoice, RelevanceChoice, TrackerChoice
from optical_ray.config.names import DatasetName, TargetName
from optical_ray.config.space import Choice, Dimension, Float, Int, Params, active, dimensions
from optical_ray.config.trial import TrialConfig
from optical_ray.data.interface import BitextDataset, CollectionDataset, RelevanceDataset
from optical_ray.metrics.scores import parse
from optical_ray.tracking.interface import TrackerConfig

if TYPE_CHECKING:
    BitextBlock = BitextDataset
    CollectionBlock = CollectionDataset
    RelevanceBlock = RelevanceDataset
    TrackerBlock = TrackerConfig
else:
    BitextBlock = BitextChoice
    CollectionBlock = CollectionChoice
    RelevanceBlock = RelevanceChoice
    TrackerBlock = TrackerChoice

RESERVED_NAMES = frozenset({"cache", "logs", "mlflow.db", "mlartifacts"})
"""Files and folders of a storage next to its studies, see ``study.layout``."""

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _bytes(value: Any) -> Any:
    """Read ``"2 GB"`` as a number of bytes."""
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", value, re.IGNORECASE) if isinstance(value, str) else None
    )
    return int(float(match[1]) * UNITS[match[2].upper()]) if match and match[2].upper() in UNITS else value


Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]


class DataConfig(Block):
    """The datasets by role, each with a name that the rest of the spec refers to."""

    bitext: dict[DatasetName, BitextBlock] = Field(min_length=1)
    collections: dict[TargetName, CollectionBlock] = Field(min_length=1)
    """By target."""
    relevance: dict[DatasetName, RelevanceBlock] = Field(default_factory=dict)
    """Query-document pairs in the pivot language, for a teacher that is trained."""


class EvaluationConfig(Block):
    """What is scored. It is not part of a trial's key, because it does not change the student."""

    targets: tuple[str, ...] = ()
    """Empty: all collections."""
    metrics: tuple[str, ...] = Field(("AP", "nDCG@20", "RR", "P@10", "R@100"), min_length=1)
    every: int = Field(100, ge=1)
    """Steps between scorings on the eval split."""
    documents: Literal["student", "teacher"] = "student"
    """The encoder of the documents."""
    first_stage: FirstStage | None = None
    """Selects the documents that are ranked; ``None``: all documents are ranked."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse(name).name for name in names)


class Asha(Block):
    """Successive halving on the step (Li et al. 2020)."""

    kind: Literal["asha"] = "asha"
    grace: int = Field(100, ge=1)
    """Steps that every trial may run."""
    reduction_factor: int = Field(3, ge=2)


class SearchConfig(Block):
    """How configurations are chosen. ``num_trials`` counts configurations; each runs once per seed."""

    mode: Literal["optimise", "estimate"] = "optimise"
    sampler: Literal["tpe", "random"] = "tpe"
    num_trials: int | None = Field(None, ge=1)
    objective: str = "AP"
    seeds: int = Field(1, ge=1)
    scheduler: Asha | None = None
    start_with: tuple[Params, ...] = ()
    startup_trials: int | None = Field(None, ge=0)
    """Configurations before TPE fits its model; ``None``: the length of ``start_with``, at least 4."""


class ComputeConfig(Block):
    """The resources of a study; they do not change its results."""

    num_workers: int = Field(1, ge=1)
    cpus_per_worker: int = Field(1, ge=1)
    gpus_per_worker: float = Field(0, ge=0)
    max_concurrent_trials: int | None = Field(None, ge=1)
    """``None``: as many as fit."""
    max_attempts: int = Field(3, ge=1)
    keep: Literal["all", "best", "none"] = "all"
    """Which students' weights are kept after their trial."""
    cache_limit: Bytes = 20 * 10**9
    """Bytes; teacher embeddings that need more are computed in each training step instead of stored."""
    checkpoint_every: int | None = Field(None, ge=1)
    """Steps; ``None``: ``evaluation.every``."""


class Experiment(Block):
    """A complete spec, resolved and checked."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seed: int = 0
    data: DataConfig
    trial: TrialConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    baselines: Baselines = Field(default_factory=dict)
    space: dict[str, Dimension] = Field(default_factory=dict)
    search: SearchConfig = SearchConfig()
    compute: ComputeConfig = ComputeConfig()
    tracking: tuple[TrackerBlock, ...] = Field(
        default=({"kind": "mlflow"}, {"kind": "prometheus"}),
        validate_default=True,
    )

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} is a name that the storage uses itself. Give the study another name.")
        return name

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets, in the spec's order."""
        return self.evaluation.targets or tuple(self.data.collections)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the replicates."""
        return tuple(self.seed + index for index in range(self.search.seeds))

    @property
    def checkpoint_every(self) -> int:
        """Steps between two checkpoints."""
        return self.compute.checkpoint_every or self.evaluation.every

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        _check_known("evaluation.targets", self.evaluation.targets, "data.collections", self.data.collections)
        _check_known("trial.data.bitext", self.trial.data.bitext, "data.bitext", self.data.bitext)
        if self.trial.teacher_training:
            data = self.trial.teacher_training.data
            _check_known("trial.teacher_training.data", data, "data.relevance", self.data.relevance)
        search = self.search
        parse(search.objective)
        if search.objective not in self.evaluation.metrics:
            raise ValueError(
                f"search.objective: {search.objective!r} is not among evaluation.metrics "
                f"({', '.join(self.evaluation.metrics)})"
            )
        if search.mode == "optimise" and search.num_trials is None and self.space:
            raise ValueError("search.num_trials: missing. Give the number of configurations, e.g. num_trials: 20.")
        if search.mode == "estimate" and (search.scheduler or search.start_with or search.num_trials):
            raise ValueError(
                "search: mode `estimate` runs the whole design (early stopping would bias the effects). "
                "Leave out num_trials, start_with and scheduler."
            )
        if search.mode == "estimate":
            for path, dimension in dimensions(self.space):
                if isinstance(dimension, Float) and dimension.points is None:
                    raise ValueError(f"space.{path}.points: missing, mode `estimate` needs it. Write e.g. points: 3.")
        if search.scheduler and search.seeds > 1:
            raise ValueError(
                "search.scheduler: a configuration runs its seeds one after another, so early stopping needs seeds: 1 "
                f"(got seeds: {search.seeds})"
            )
        for index, params in enumerate(search.start_with):
            for path, value in params.items():
                where = f"search.start_with[{index}].{path}"
                known = active(self.space, params)
                if path not in known:
                    raise ValueError(f"{where}: not in `space` (has: {', '.join(known) or 'nothing'})")
                _check_value(where, known[path], value)
        workers = self.compute.num_workers
        for name, size in self._batch_sizes().items():
            if size % workers:
                raise ValueError(f"{name}: must be a multiple of compute.num_workers ({workers}), got {size}")
        return self

    def _batch_sizes(self) -> dict[str, int]:
        sizes = {"trial.data.batch_size": self.trial.data.batch_size}
        if self.trial.teacher_training:
            sizes["trial.teacher_training.batch_size"] = self.trial.teacher_training.batch_size
        return sizes


def _check_known(where: str, names: tuple[str, ...], block: str, known: dict[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {name!r} is not in {block} (has: {', '.join(known) or 'nothing'})")


def _check_value(where: str, dimension: Any, value: Any) -> None:
    if hasattr(dimension, "low"):
        if not (isinstance(value, (int, float)) and dimension.low <= value <= dimension.high):
            raise ValueError(f"{where}: must be in [{dimension.low}, {dimension.high}], got {value!r}")
        if isinstance(dimension, Int) and (value - dimension.low) % dimension.step:
            raise ValueError(f"{where}: must be {dimension.low} + a multiple of {dimension.step}, got {value!r}")
    elif value not in dimension.grid() and not (isinstance(dimension, Choice) and value in dimension.of):
        raise ValueError(f"{where}: {value!r} is not in the dimension (has: {', '.join(map(str, dimension.grid()))})")
