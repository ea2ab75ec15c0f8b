"""What a study is: its ``study.json``, and whether a spec is still that study's."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optical_ray.config.baselines import TeacherTopics
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import canonical
from optical_ray.config.trial import trims_vocabulary
from optical_ray.prepare.text import Text
from optical_ray.study.files import read_json, write_json
from optical_ray.study.records import VERSION
from optical_ray.sweep.proposals import first_ones
from optical_ray.types import InputError

MAY_CHANGE = (
    *("evaluation.targets", "evaluation.metrics", "evaluation.every", "baselines", "compute", "tracking"),
    *("search.num_trials", "search.seeds", "data.collections"),
)
"""What a later launch of the same study may change (of the collections: more of them)."""

PACKAGES = ("optical-ray", "ray", "torch", "transformers", "POT", "optuna", "mlflow", "pytrec-eval-terrier")


def check_unchanged(experiment: Experiment, folder: Path) -> None:
    """Refuse a spec that differs from the study's own in anything but ``MAY_CHANGE``; the first path is named."""
    path = folder / "study.json"
    if not path.is_file():
        return
    old, new = read_json(path)["experiment"], canonical(experiment)
    for where, was, now in _differences(old, new):
        if where.startswith("data.collections.") and was is None:
            if trims_vocabulary(experiment.trial):
                raise InputError(
                    f"{where}: trim_vocabulary is on: the vocabulary was cut to the text the study was begun with; "
                    "give the new study another name"
                )
            continue
        if where.startswith("baselines.") and trims_vocabulary(experiment.trial):
            name = where.split(".")[1]
            if any(_has_own_topics(spec["baselines"].get(name)) for spec in (old, new)):
                raise InputError(
                    f"baselines.{name}: trim_vocabulary is on: the vocabulary holds the topics that the study was "
                    "begun with; change it back, or give the new study another name"
                )
        if where.startswith("data.collections.") or not any(
            where == free or where.startswith(free + ".") for free in MAY_CHANGE
        ):
            raise InputError(
                f"{where}: the study {experiment.name!r} was begun with {was!r}, the spec says {now!r}; "
                "change it back, or give the new study another name"
            )


def _has_own_topics(baseline: dict[str, Any] | None) -> bool:
    """Whether the teacher reads topics for it that are not the collections' own English ones."""
    own = TeacherTopics().model_dump(mode="json")
    return baseline is not None and baseline["kind"] == own["kind"] and baseline != own


def _differences(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield where, old, new


def describe(experiment: Experiment, folder: Path, text: Text) -> None:
    """Write ``study.json``: the resolved spec and what it stands on."""
    path = folder / "study.json"
    created = read_json(path)["created"] if path.is_file() else time.time()
    content = {
        "version": VERSION,
        "name": experiment.name,
        "created": created,
        "experiment": canonical(experiment),
        "targets": list(experiment.targets),
        "digests": {**text.digests, **_data_digests(experiment, text)},
        "licences": text.licences,
        "data": text.report,
        "versions": {package: version(package) for package in PACKAGES},
        "git_commit": _git_commit(),
    }
    if experiment.search.mode == "estimate":
        content["design"] = {"configurations": first_ones(experiment)}
    write_json(path, content)


def _data_digests(experiment: Experiment, text: Text) -> dict[str, dict[str, str]]:
    """Of the teacher's examples and of the collections; a trial's key holds that of the teacher and the bitext's."""
    training = experiment.trial.teacher_training
    relevance = {name: experiment.data.relevance[name].fingerprint() for name in (training.data if training else ())}
    collections = {source.target: source.fingerprint for source in text.sources}
    return {**({"relevance": relevance} if relevance else {}), "collections": collections}


def _git_commit() -> str | None:
    """The commit of the folder that the launch is made from; ``None`` where it is no git checkout."""
    git = shutil.which("git")
    found = git and subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None if found else None
