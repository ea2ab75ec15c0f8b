"""YAML to ``Experiment``: environment variables filled in, ``--set`` applied, every corner of the space checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from optical_ray.config.baselines import Control
from optical_ray.config.choices import Block
from optical_ray.config.experiment import Experiment
from optical_ray.config.space import Choice, Params, active, corners
from optical_ray.config.trial import TrialConfig
from optical_ray.types import InputError

B = TypeVar("B", bound=Block)

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
SHARED = ("teacher", "teacher_training", "student.init", "data.bitext", "data.max_length", "data.read_as")
"""Parts of a trial that all trials of a study share (what is prepared once depends on them)."""


def load(path: Path, settings: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Experiment:
    """Read and check the spec at ``path``; ``settings`` are ``a.b=value`` with a YAML value each.

    Raises ``InputError`` with the dotted path, what was got, what was expected.
    """
    raw = _filled(read_spec(path), os.environ if environment is None else environment, str(path))
    for setting in settings:
        _set(raw, setting)
    experiment = _validated(Experiment, raw)
    check_corners(experiment)
    return experiment


def read_spec(path: Path) -> dict[str, Any]:
    """The mapping in the file at ``path``, its variables as they stand; raises ``InputError`` where it is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give the path of a study's YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping with name, data, trial, ...; got {type(raw).__name__}")
    return raw


def from_dict(raw: Mapping[str, Any]) -> Experiment:
    """Check a resolved spec (as ``study.json`` holds it)."""
    return _validated(Experiment, dict(raw))


def trial_from_dict(raw: Mapping[str, Any]) -> TrialConfig:
    """Check a resolved ``trial`` block."""
    return _validated(TrialConfig, dict(raw))


def with_params(experiment: Experiment, params: Params) -> TrialConfig:
    """The study's trial with ``params`` at their dotted paths; raises ``InputError`` where that makes no trial."""
    raw = experiment.trial.model_dump(mode="json")
    known = active(experiment.space, params)
    for path, dimension in sorted(known.items(), key=lambda item: item[0].count(".")):  # a block before what is in it
        if path not in params:
            continue
        block, name = _find(raw, path, f"space.{path}")
        if isinstance(dimension, Choice):
            block[name] = dimension.option(params[path])
            raw = _validated(TrialConfig, raw, prefix="trial").model_dump(mode="json")  # with the block's defaults
        else:
            block[name] = params[path]
    return _validated(TrialConfig, raw, prefix="trial")


def control_trial(experiment: Experiment, name: str) -> TrialConfig:
    """The trial of the control ``name`` of ``baselines``; raises ``InputError`` where its ``params`` make none."""
    control = experiment.baselines[name]
    assert isinstance(control, Control)
    raw = experiment.trial.model_dump(mode="json")
    for path, value in control.params.items():
        where = f"baselines.{name}.params.{path}"
        if _is_shared(path):
            raise InputError(f"{where}: all students of a study share this")
        block, last = _find(raw, path, where)
        block[last] = value
    return _validated(TrialConfig, raw, prefix="trial")


def _is_shared(path: str) -> bool:
    return any(f"{path}.".startswith(f"{shared}.") or shared.startswith(f"{path}.") for shared in SHARED)


def check_corners(experiment: Experiment) -> None:
    """Build every corner of the space: what cannot be run is said before anything is asked for.

    Raises ``InputError`` for a path that is not there or that all trials share, a value that the trial refuses,
    and a language that a bitext lacks.
    """
    raw = experiment.trial.model_dump(mode="json")
    for path in experiment.space:
        if _is_shared(path):
            raise InputError(f"space.{path}: all trials of a study share this; make a study for each value")
        _find(raw, path, f"space.{path}")
    languages = {name: experiment.data.bitext[name].languages() for name in experiment.trial.data.bitext}
    for params in [*corners(experiment.space), *experiment.search.start_with]:
        try:
            trial = with_params(experiment, dict(params))
        except InputError as error:
            corner = ", ".join(f"{path}={value}" for path, value in params.items())
            raise InputError(f"space, at the corner {{{corner}}}: {error}") from error
        _check_languages("space" if "data.source_languages" in params else "trial", trial, languages)
    for name, baseline in experiment.baselines.items():
        if isinstance(baseline, Control):
            _check_languages(f"baselines.{name}.params", control_trial(experiment, name), languages)


def _check_languages(where: str, trial: TrialConfig, languages: Mapping[str, Sequence[str]]) -> None:
    for name, known in languages.items():
        for language in trial.data.source_languages:
            if language not in known:
                raise InputError(
                    f"{where}.data.source_languages: {language!r} is not in bitext {name!r} (has: {', '.join(known)})"
                )


def _validated(model: type[B], raw: dict[str, Any], prefix: str = "") -> B:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_said(item, raw, prefix) for item in error.errors()]
        raise InputError("\n".join(dict.fromkeys(lines))) from error


def _said(item: Any, raw: Any, prefix: str) -> str:
    """One pydantic error as ``dotted.path: message``; union tags in the location are left out."""
    path, node = [prefix] if prefix else [], raw
    for index, part in enumerate(item["loc"]):
        inside = isinstance(node, (dict, list)) and (part in node if isinstance(node, dict) else isinstance(part, int))
        last = index == len(item["loc"]) - 1
        if inside:
            node = node[part]
        elif not (last and item["type"] == "missing"):
            continue
        path.append(str(part))
    where, message = ".".join(path), item["msg"].removeprefix("Value error, ")
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: unknown key; look for a typing error or leave it out"
    if item["type"] == "missing":
        return f"{where}: missing; give it a value"
    if item["type"] == "value_error":
        names_field = re.match(
            r"[\w.\[\]]+(, [\w.]+)*: ", message
        )  # our own messages start with the field they speak of
        return f"{where}{'.' if names_field else ': '}{message}" if where else message
    return f"{where}: {message[:1].lower()}{message[1:]}, got {item['input']!r}"


def _filled(node: Any, environment: Mapping[str, str], where: str) -> Any:
    """Put environment variables into every string."""
    if isinstance(node, dict):
        return {key: _filled(value, environment, f"{where}: {key}") for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, environment, where) for value in node]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1], match[2])
        if value is None:
            raise InputError(
                f"{where}: ${{{match[1]}}} is not set; export {match[1]}=... or write ${{{match[1]}:-default}}"
            )
        return value

    return VARIABLE.sub(value_of, node)


def _set(raw: dict[str, Any], setting: str) -> None:
    """Apply one ``a.b=value``; a part that is not there yet is made."""
    path, sign, text = setting.partition("=")
    if not sign or not path:
        raise InputError(f"--set {setting!r}: expected dotted.path=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {setting!r}: the value is not YAML") from error
    node = raw
    *parents, last = path.split(".")
    if parents and parents[0] == "space":  # the keys of a space hold dots themselves
        parents, last = ["space"], path.removeprefix("space.")
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise InputError(f"--set {setting!r}: {part!r} is no block")
    node[last] = value


def _find(raw: dict[str, Any], path: str, where: str) -> tuple[Any, str | int]:
    """The block or list that holds ``path``, and the name or place in it.

    Raises ``InputError`` where it is not there.
    """
    block: Any = raw
    *parents, last = path.split(".")
    for part in parents:
        inner = block[_place(block, part, where, "block ")]
        if not isinstance(inner, (dict, list)):
            raise InputError(f"{where}: the trial has no block {part!r} there, but {inner!r}")
        block = inner
    return block, _place(block, last, where)


def _place(block: dict[str, Any] | list[Any], part: str, where: str, noun: str = "") -> str | int:
    if isinstance(block, dict) and part in block:
        return part
    if isinstance(block, list) and part.isdecimal() and int(part) < len(block):
        return int(part)
    there = block if isinstance(block, dict) else map(str, range(len(block)))
    raise InputError(f"{where}: the trial has no {noun}{part!r} there (has: {', '.join(there)})")
