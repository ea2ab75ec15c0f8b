"""The kinds that a spec can choose from, as pydantic unions over the members of a package."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from optical_ray.data.interface import BitextDataset, CollectionDataset, RelevanceDataset
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.losses.interface import Loss
from optical_ray.registry import AnyOf
from optical_ray.tracking.interface import TrackerConfig


class Block(BaseModel):
    """Base of the config tree's blocks: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def union_of(package: str, base: type[Any]) -> Any:
    """The union of the kinds in ``package``, discriminated by ``kind``."""
    return Annotated[base, AnyOf(package, base)]


BitextChoice = union_of("optical_ray.data.datasets", BitextDataset)
CollectionChoice = union_of("optical_ray.data.datasets", CollectionDataset)
RelevanceChoice = union_of("optical_ray.data.datasets", RelevanceDataset)
EncoderChoice = union_of("optical_ray.encoders", EncoderConfig)
LossChoice = union_of("optical_ray.losses", Loss)
TrackerChoice = union_of("optical_ray.tracking.trackers", TrackerConfig)
