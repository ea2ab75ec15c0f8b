"""``study.json``: what a study is and what it was made from, as a typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import StudyFolder
from optical_ray.types import InputError

VERSION = 2
"""Version of the layout of a study's folder."""


@dataclass(frozen=True)
class StudyInfo:
    """What is known of a study before its first trial.

    ``study_id`` is unique, also among studies of one name. ``experiment`` is the resolved spec in plain JSON types;
    ``num_trials`` the planned number of trials (configurations times seeds); ``num_concurrent`` how many run at once;
    ``digests`` identify the teacher, the student's initial weights, the bitext and the collections; ``data`` counts
    what was read, kept and dropped; ``design`` lists the configurations of an ``estimate`` study.
    ``created`` is in seconds since the epoch.
    """

    study_id: str
    name: str
    created: float
    experiment: Mapping[str, Any]
    targets: tuple[str, ...]
    num_trials: int
    num_concurrent: int = 1
    digests: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    design: tuple[Mapping[str, Any], ...] = ()

    @property
    def objective(self) -> str:
        """The metric that the search maximises."""
        return str(self.experiment["search"]["objective"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every student is scored by."""
        return tuple(self.experiment["evaluation"]["metrics"])

    @property
    def mode(self) -> str:
        """``optimise`` or ``estimate``."""
        return str(self.experiment["search"]["mode"])

    @property
    def kept_weights(self) -> str:
        """Which students' weights stay after their trial: ``all``, ``best`` or ``none``."""
        return str(self.experiment["compute"]["keep"])

    @property
    def trial(self) -> Mapping[str, Any]:
        """The spec's ``trial`` block."""
        block: Mapping[str, Any] = self.experiment["trial"]
        return block

    @property
    def tracking(self) -> tuple[Mapping[str, Any], ...]:
        """The spec's trackers, each with its ``kind``."""
        return tuple(self.experiment["tracking"])

    def write(self, folder: Path) -> None:
        """Write ``study.json`` into the study's ``folder``, atomically."""
        write_json(StudyFolder(folder).info, {"version": VERSION, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> StudyInfo:
        """Read the ``study.json`` of ``folder``.

        Raises ``InputError`` if the folder is not a study, has another layout version or the file is damaged.
        """
        path = StudyFolder(folder).info
        if not path.is_file():
            raise InputError(
                f"{folder}: not a study, it has no study.json. Give a folder that `optical-ray run` wrote."
            )
        try:
            content = read_json(path)
            version = content.pop("version")
            if version != VERSION:
                raise InputError(
                    f"{path}: unknown layout version (got {version!r}, expected {VERSION}). Read the study with the "
                    "optical_ray version that is named under its `versions`."
                )
            content["targets"], content["design"] = tuple(content["targets"]), tuple(content["design"])
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path}: damaged ({type(error).__name__}: {str(error)[:200]}). Restore it from a backup, or run the "
                "study under another name."
            ) from error
