"""The study's ``study.json``, and whether a spec still describes the same study."""

from __future__ import annotations

import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from optical_ray.config.baselines import TeacherTopics
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import canonical
from optical_ray.config.trial import trims_vocabulary
from optical_ray.prepare.text import Preparation
from optical_ray.study.changes import COLLECTIONS, differences, may_change
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import StudyFolder
from optical_ray.sweep.proposals import initial_configurations, num_configurations
from optical_ray.types import InputError

PACKAGES = ("optical-ray", "ray", "torch", "transformers", "POT", "optuna", "mlflow", "pytrec-eval-terrier")
"""The packages whose versions a study records."""


def check_unchanged(experiment: Experiment, folder: Path) -> None:
    """Raise ``InputError`` if the spec differs from the study in ``folder`` in a value that may not change."""
    if not StudyFolder(folder).info.is_file():
        return
    old, new = StudyInfo.read(folder).experiment, canonical(experiment)
    trims = trims_vocabulary(experiment.trial)
    remedy = "Change it back, or give the new study another name."
    for path, before, after in differences(old, new):
        if path.startswith(f"{COLLECTIONS}.") and before is None:
            if trims:
                raise InputError(
                    f"{path}: cannot be added, because trim_vocabulary reduced the vocabulary to the text that the "
                    f"study began with. {remedy}"
                )
        elif not may_change(path):
            raise InputError(
                f"{path}: must not change within the study {experiment.name!r} (it began with {_short(before)}, the "
                f"spec has {_short(after)}). {remedy}"
            )
        elif trims and path.startswith("baselines."):
            name = path.split(".")[1]
            if any(_has_own_topics(spec["baselines"].get(name)) for spec in (old, new)):
                raise InputError(
                    f"baselines.{name}: cannot change, because trim_vocabulary reduced the vocabulary to the topics "
                    f"that the study began with. {remedy}"
                )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _has_own_topics(baseline: dict[str, Any] | None) -> bool:
    """Whether the teacher reads topics for this baseline other than the collections' own English ones."""
    default = TeacherTopics().model_dump(mode="json")
    return baseline is not None and baseline["kind"] == default["kind"] and baseline != default


def describe(experiment: Experiment, folder: Path, preparation: Preparation, num_concurrent: int) -> StudyInfo:
    """Write ``study.json``: the resolved spec, and what it was made from."""
    known = StudyInfo.read(folder) if StudyFolder(folder).info.is_file() else None
    digests = preparation.inputs.digests
    estimate = experiment.search.mode == "estimate"
    info = StudyInfo(
        study_id=known.study_id if known else uuid4().hex,
        name=experiment.name,
        created=known.created if known else time.time(),
        experiment=canonical(experiment),
        targets=experiment.targets,
        num_trials=num_configurations(experiment) * len(experiment.seeds),
        num_concurrent=num_concurrent,
        digests={
            "teacher": digests.teacher,
            "init": digests.initial_student,
            "bitext": dict(digests.bitext),
            **_data_digests(experiment, preparation),
        },
        licences=preparation.licences,
        data=preparation.report,
        versions={package: version(package) for package in PACKAGES},
        git_commit=_git_commit(),
        design=tuple(initial_configurations(experiment)) if estimate else (),
    )
    info.write(folder)
    return info


def _data_digests(experiment: Experiment, preparation: Preparation) -> dict[str, dict[str, str]]:
    """Digests of the teacher's examples and of the collections, which are not part of a trial's key."""
    training = experiment.trial.teacher_training
    relevance = {name: experiment.data.relevance[name].fingerprint() for name in (training.data if training else ())}
    collections = {source.target: source.fingerprint for source in preparation.sources}
    return {**({"relevance": relevance} if relevance else {}), "collections": collections}


def _git_commit() -> str | None:
    """The commit of the current folder; None if it is not a git checkout."""
    git = shutil.which("git")
    result = git and subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return result.stdout.strip() or None if result else None
