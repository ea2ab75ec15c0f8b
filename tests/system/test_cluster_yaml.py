"""Ray accepts cluster.yaml, which has the properties that studies need. Checked without a network."""

from __future__ import annotations

import copy
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    """The file with Ray's defaults filled in, as ``ray up`` reads it."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    written = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    prepared: dict[str, Any] = prepare_config(copy.deepcopy(written))
    validate_config(prepared)
    return prepared


def test_an_unknown_key_is_refused() -> None:
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    written = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    with pytest.raises(jsonschema.ValidationError, match="idle_minutes"):
        validate_config(prepare_config(written | {"idle_minutes": 5}))


def test_only_workers_have_gpus(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    head = types.pop(cluster["head_node_type"])
    assert head["resources"]["GPU"] == 0
    assert head["max_workers"] == 0
    assert all(kind["resources"]["GPU"] >= 1 and kind["min_workers"] == 0 for kind in types.values())
    assert 0 < sum(kind["max_workers"] for kind in types.values()) <= cluster["max_workers"]


def test_every_node_mounts_the_storage_and_installs_this_project(cluster: dict[str, Any]) -> None:
    for commands in (cluster["setup_commands"], cluster["head_setup_commands"], cluster["worker_setup_commands"]):
        assert any("/mnt/optical" in command and "nfs4" in command for command in commands)
        assert any(command.endswith("~/optical_ray") for command in commands)
    for target, source in cluster["file_mounts"].items():
        if target.startswith("~/optical_ray/"):
            assert (ROOT / source).exists(), source


def test_the_dashboard_listens_on_loopback_and_requires_a_token(cluster: dict[str, Any]) -> None:
    start = next(command for command in cluster["head_start_ray_commands"] if "--head" in command)
    words = shlex.split(start.replace(";", " "))
    assert "--dashboard-host=127.0.0.1" in words
    assert "--include-dashboard=true" in words
    for command in [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]:
        assert "ray start" not in command or "RAY_AUTH_MODE=token" in command
    assert "~/.ray/auth_token" in cluster["file_mounts"]


def test_ray_knows_every_option(cluster: dict[str, Any]) -> None:
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    for command in [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]:
        used = {word.split("=")[0] for word in command.split() if word.startswith("--")}
        assert used <= known
