"""Loads a spec: YAML to ``Experiment``, with environment variables and ``--set``, and checks the search space."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from optical_ray.config.baselines import Control
from optical_ray.config.choices import Block
from optical_ray.config.experiment import Experiment
from optical_ray.config.names import quoted
from optical_ray.config.space import Choice, Params, active, corners
from optical_ray.config.trial import TrialConfig
from optical_ray.config.yaml_text import parse_yaml
from optical_ray.types import InputError

B = TypeVar("B", bound=Block)

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
SHARED = ("teacher", "teacher_training", "student.init", "data.bitext", "data.max_length", "data.read_as")
"""Parts of a trial that are equal in all trials of a study, because what is prepared once depends on them."""

MAX_VALUE = 200
"""Characters of a wrong value that a message shows."""


def load(path: Path, settings: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Experiment:
    """Read and check the spec at ``path``; each of ``settings`` is ``a.b=value`` with a value in YAML.

    ``${NAME}`` and ``${NAME:-default}`` in strings are replaced by variables of ``environment`` (default: that of the
    process). Raises ``InputError`` with the dotted path, the value and what was expected.
    """
    variables = os.environ if environment is None else environment
    raw = _with_variables(read_spec(path), variables, str(path))
    for setting in settings:
        _set(raw, setting, variables)
    experiment = _validated(Experiment, raw)
    check_corners(experiment)
    return experiment


def read_spec(path: Path) -> dict[str, Any]:
    """Read the mapping in the file at ``path`` without replacing variables; raises ``InputError`` if it has none."""
    raw = parse_yaml(read_text(path), str(path))
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping with name, data, trial, ...; got {type(raw).__name__}")
    return raw


def read_text(path: Path) -> str:
    """Read a YAML file; raises ``InputError`` if that is not possible."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}. Give the path of a YAML file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not YAML: {error}. Store it as UTF-8.") from error


def from_dict(raw: Mapping[str, Any]) -> Experiment:
    """Check a resolved spec, as ``study.json`` stores it."""
    return _validated(Experiment, dict(raw))


def trial_from_dict(raw: Mapping[str, Any]) -> TrialConfig:
    """Check a resolved ``trial`` block."""
    return _validated(TrialConfig, dict(raw))


def with_params(experiment: Experiment, params: Params) -> TrialConfig:
    """Return the study's trial with ``params`` at their dotted paths; raises ``InputError`` if it is not valid."""
    raw = experiment.trial.model_dump(mode="json")
    known = active(experiment.space, params)
    for path, dimension in sorted(known.items(), key=lambda item: item[0].count(".")):  # a block before its parts
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
    """Return the trial of the control ``name`` of ``baselines``; raises ``InputError`` if it is not valid."""
    control = experiment.baselines[name]
    assert isinstance(control, Control)
    raw = experiment.trial.model_dump(mode="json")
    for path, value in control.params.items():
        where = f"baselines.{name}.params.{path}"
        if _is_shared(path):
            raise InputError(f"{where}: all students of a study share this. Leave it out.")
        block, last = _find(raw, path, where)
        block[last] = value
    return _validated(TrialConfig, raw, prefix="trial")


def _is_shared(path: str) -> bool:
    return any(f"{path}.".startswith(f"{shared}.") or shared.startswith(f"{path}.") for shared in SHARED)


def check_corners(experiment: Experiment) -> None:
    """Build the trial of every corner of the space, so that errors are reported before anything runs.

    Raises ``InputError`` for a path that does not exist or that all trials share, for a value that the trial refuses,
    and for a language that a bitext does not have.
    """
    raw = experiment.trial.model_dump(mode="json")
    for path in experiment.space:
        if _is_shared(path):
            raise InputError(f"space.{path}: all trials of a study share this. Make a study for each value.")
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
        lines = [_message(item, raw, prefix) for item in error.errors()]
        raise InputError("\n".join(dict.fromkeys(lines))) from error


def _message(item: Any, raw: Any, prefix: str) -> str:
    """Format one pydantic error as ``dotted.path: message``; union tags in the location are left out."""
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
        return f"{where}: unknown key. Check its spelling or leave it out."
    if item["type"] == "missing":
        return f"{where}: missing. Give it a value."
    if item["type"] == "value_error":
        names_field = re.match(r"[\w.\[\]]+(, [\w.]+)*: ", message)  # messages of this package start with a field
        return f"{where}{'.' if names_field else ': '}{message}" if where else message
    value = item["input"]
    is_unquoted = item["type"] == "string_type" and not isinstance(value, (dict, list, tuple))
    remedy = f". Quote it in YAML: {quoted(value)}." if is_unquoted else ""
    return f"{where}: {message[:1].lower()}{message[1:]}, got {_shortened(value)}{remedy}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def _with_variables(node: Any, environment: Mapping[str, str], where: str) -> Any:
    """Replace the environment variables in every string."""
    if isinstance(node, dict):
        return {key: _with_variables(value, environment, f"{where}: {key}") for key, value in node.items()}
    if isinstance(node, list):
        return [_with_variables(value, environment, where) for value in node]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1], match[2])
        if value is None:
            raise InputError(
                f"{where}: ${{{match[1]}}} is not set. export {match[1]}=... or write ${{{match[1]}:-default}}"
            )
        return value

    return VARIABLE.sub(value_of, node)


def _set(raw: dict[str, Any], setting: str, environment: Mapping[str, str]) -> None:
    """Apply one ``a.b=value``; blocks that do not exist are added."""
    path, sign, text = setting.partition("=")
    where = f"--set {setting[:MAX_VALUE]!r}"
    if not sign or not path:
        raise InputError(f"{where}: expected dotted.path=value")
    value = _with_variables(parse_yaml(text, where), environment, where)
    node = raw
    *parents, last = path.split(".")
    if parents and parents[0] == "space":  # the keys of a space contain dots
        parents, last = ["space"], path.removeprefix("space.")
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise InputError(f"{where}: {part!r} is not a block (got {_shortened(node)})")
    node[last] = value


def _find(raw: dict[str, Any], path: str, where: str) -> tuple[Any, str | int]:
    """Return the block or list that contains ``path``, and the key or index in it.

    Raises ``InputError`` if it does not exist.
    """
    block: Any = raw
    *parents, last = path.split(".")
    for part in parents:
        inner = block[_key_in(block, part, where, "block ")]
        if not isinstance(inner, (dict, list)):
            raise InputError(f"{where}: {part!r} in the trial is not a block (got {_shortened(inner)})")
        block = inner
    return block, _key_in(block, last, where)


def _key_in(block: dict[str, Any] | list[Any], part: str, where: str, noun: str = "") -> str | int:
    if isinstance(block, dict) and part in block:
        return part
    if isinstance(block, list) and part.isdecimal() and int(part) < len(block):
        return int(part)
    names = block if isinstance(block, dict) else map(str, range(len(block)))
    raise InputError(f"{where}: the trial has no {noun}{part!r} there (has: {', '.join(names)})")
