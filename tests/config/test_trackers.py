"""The trackers that a spec chooses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import load
from optical_ray.types import InputError

Write = Callable[[dict[str, Any]], Path]


def test_a_study_is_tracked_by_mlflow_and_prometheus_unless_the_spec_chooses(write: Write, raw: dict[str, Any]) -> None:
    assert [tracker.kind for tracker in load(write(raw)).tracking] == ["mlflow", "prometheus"]
    raw["tracking"] = []
    assert load(write(raw)).tracking == ()
    raw["tracking"] = [{"kind": "mlflow", "uri": "http://a"}, {"kind": "mlflow", "uri": "http://b"}]
    assert [tracker.uri for tracker in load(write(raw)).tracking] == ["http://a", "http://b"]


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        ([{"kind": "wandb"}], r"^tracking.0: .*'wandb'.*'mlflow', 'prometheus'"),
        ([{"kind": "mlflow", "url": "http://a"}], r"^tracking.0.url: unknown key"),
        ({"uri": "http://a"}, r"^tracking: "),
    ],
)
def test_a_tracker_that_does_not_exist_is_refused(
    write: Write, raw: dict[str, Any], tracking: Any, expected: str
) -> None:
    raw["tracking"] = tracking
    with pytest.raises(InputError, match=expected):
        load(write(raw))


def test_a_spec_is_checked_without_importing_mlflow_or_ray() -> None:
    code = "import sys, optical_ray.config.load; print({'mlflow', 'ray'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
