"""A key that a YAML block has twice is refused; merged keys may be overridden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from optical_ray.config.collections import read_collections
from optical_ray.config.load import load
from optical_ray.config.yaml_text import parse_yaml
from optical_ray.types import InputError

Write = Callable[[Any], Path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"^here: line 3: key 'a' .* \(first in line 1\)"),
        ("x:\n  - {a: 1, a: 1}\n", r"^here: line 2: key 'a' occurs twice"),
        ("{'a': 1, \"a\": 2}", "key 'a' occurs twice"),
        ("a: [", "^here: not YAML"),
        ("? [a]\n: 1\n", "^here: not YAML"),
        ("[" * 5000, "^here: not YAML"),
    ],
)
def test_what_is_ambiguous_or_not_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_yaml(text, "here")
    assert len(str(caught.value)) < 500


def test_merged_keys_are_overridden() -> None:
    text = "a: &a {low: 1, high: 2}\nb: &b {<<: *a, low: 3}\nc: {<<: *b, high: 4}\nd: *b\n"
    assert parse_yaml(text, "here") == yaml.safe_load(text)
    assert parse_yaml(text, "here")["c"] == {"low": 3, "high": 4}


def test_a_spec_and_its_settings_have_unique_keys(write: Write, raw: dict[str, Any]) -> None:
    path = write(yaml.safe_dump(raw, sort_keys=False) + "seed: 4\n")
    with pytest.raises(InputError, match=rf"^{path}: line \d+: key 'seed' .*first in line 2"):
        load(path)
    with pytest.raises(InputError, match="key 'seed'"):
        read_collections(path)
    with pytest.raises(InputError, match=r"^--set .*: line 1: key 'steps'"):
        load(write(raw), ["trial.optimizer={steps: 3, steps: 4}"])


def test_variables_in_settings_are_replaced(write: Write, raw: dict[str, Any]) -> None:
    settings = ["name=on-${MACHINE}", "evaluation.targets=['${TARGET:-so}']", "trial.data.bitext=['${BITEXT}']"]
    experiment = load(write(raw), settings, {"MACHINE": "node7", "BITEXT": "cldr"})
    assert (experiment.name, experiment.targets) == ("on-node7", ("so",))
    with pytest.raises(InputError, match=r"^--set 'name=on-\$\{MACHINE\}': \$\{MACHINE\} is not set"):
        load(write(raw), settings, {})
