"""A study: data, the trial's defaults, what is searched, how it is scored and what it may use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from optical_ray.config.baselines import Baselines, FirstStage
from optical_ray.config.choices import BitextChoice, Block, CollectionChoice, RelevanceChoice, TrackerChoice
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

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _bytes(value: Any) -> Any:
    """Read ``"2 GB"`` as a number of bytes."""
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", value, re.IGNORECASE) if isinstance(value, str) else None
    )
    return int(float(match[1]) * UNITS[match[2].upper()]) if match and match[2].upper() in UNITS else value


Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]


class DataConfig(Block):
    """Where text comes from, by role; the names are the study's own."""

    bitext: dict[str, BitextBlock] = Field(min_length=1)
    collections: dict[str, CollectionBlock] = Field(min_length=1)
    """By target language."""
    relevance: dict[str, RelevanceBlock] = Field(default_factory=dict)
    """Query-document pairs of the pivot, for a teacher that is trained."""


class EvaluationConfig(Block):
    """What is scored. Not in a trial's key: scores attach to a trial."""

    targets: tuple[str, ...] = ()
    """Empty: all collections."""
    metrics: tuple[str, ...] = Field(("AP", "nDCG@20", "RR", "P@10", "R@100"), min_length=1)
    every: int = Field(100, ge=1)
    """Steps between scorings on the eval split."""
    documents: Literal["student", "teacher"] = "student"
    """Who reads the documents."""
    first_stage: FirstStage | None = None
    """Who chooses the documents that are ranked; ``None``: all are."""

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
    """How configurations are chosen. ``num_trials`` counts configurations; each is run once for every seed."""

    mode: Literal["optimise", "estimate"] = "optimise"
    sampler: Literal["tpe", "random"] = "tpe"
    num_trials: int | None = Field(None, ge=1)
    objective: str = "AP"
    seeds: int = Field(1, ge=1)
    scheduler: Asha | None = None
    start_with: tuple[Params, ...] = ()
    startup_trials: int | None = Field(None, ge=0)
    """Random ones before TPE models; ``None``: as many as ``start_with`` has, at least 4."""


class ComputeConfig(Block):
    """What a study may use. Nothing here changes a number."""

    num_workers: int = Field(1, ge=1)
    cpus_per_worker: int = Field(1, ge=1)
    gpus_per_worker: float = Field(0, ge=0)
    max_concurrent_trials: int | None = Field(None, ge=1)
    """``None``: as many as fit."""
    max_attempts: int = Field(3, ge=1)
    keep: Literal["all", "best", "none"] = "all"
    """Which students' weights stay after their trial."""
    cache_limit: Bytes = 20 * 10**9
    """Teacher embeddings larger than this are computed inside the step."""
    checkpoint_every: int | None = Field(None, ge=1)
    """Steps; ``None``: as ``evaluation.every``."""


class Experiment(Block):
    """The whole of a spec, resolved and checked."""

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

    @property
    def targets(self) -> tuple[str, ...]:
        """The target languages, in the spec's order."""
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
        _known("evaluation.targets", self.evaluation.targets, "data.collections", self.data.collections)
        _known("trial.data.bitext", self.trial.data.bitext, "data.bitext", self.data.bitext)
        if self.trial.teacher_training:
            data = self.trial.teacher_training.data
            _known("trial.teacher_training.data", data, "data.relevance", self.data.relevance)
        search = self.search
        parse(search.objective)
        if search.objective not in self.evaluation.metrics:
            raise ValueError(
                f"search.objective: {search.objective!r} is not among evaluation.metrics "
                f"({', '.join(self.evaluation.metrics)})"
            )
        if search.mode == "optimise" and search.num_trials is None and self.space:
            raise ValueError("search.num_trials: say how many configurations to try, e.g. num_trials: 20")
        if search.mode == "estimate" and (search.scheduler or search.start_with or search.num_trials):
            raise ValueError(
                "search: `estimate` runs the whole design: leave out num_trials, start_with and scheduler "
                "(stopping losers early would bias the effects)"
            )
        if search.mode == "estimate":
            for path, dimension in dimensions(self.space):
                if isinstance(dimension, Float) and dimension.points is None:
                    raise ValueError(f"space.{path}.points: say how many an `estimate` design takes, e.g. points: 3")
        if search.scheduler and search.seeds > 1:
            raise ValueError("search.scheduler: early stopping needs seeds: 1 (a configuration runs its seeds in turn)")
        for index, params in enumerate(search.start_with):
            for path, value in params.items():
                where = f"search.start_with[{index}].{path}"
                known = active(self.space, params)
                if path not in known:
                    raise ValueError(f"{where}: not in `space` (has: {', '.join(known) or 'nothing'})")
                _inside(where, known[path], value)
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


def _known(where: str, names: tuple[str, ...], there: str, known: dict[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {name!r} is not in {there} (has: {', '.join(known) or 'nothing'})")


def _inside(where: str, dimension: Any, value: Any) -> None:
    if hasattr(dimension, "low"):
        if not (isinstance(value, (int, float)) and dimension.low <= value <= dimension.high):
            raise ValueError(f"{where}: must lie in [{dimension.low}, {dimension.high}], got {value!r}")
        if isinstance(dimension, Int) and (value - dimension.low) % dimension.step:
            raise ValueError(f"{where}: must be {dimension.low} + a multiple of {dimension.step}, got {value!r}")
    elif value not in dimension.grid() and not (isinstance(dimension, Choice) and value in dimension.of):
        raise ValueError(f"{where}: {value!r} is not in the dimension (has: {', '.join(map(str, dimension.grid()))})")
