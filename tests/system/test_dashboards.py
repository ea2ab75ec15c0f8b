"""The dashboard shows what a study exports, all of it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialState

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
BOARD: dict[str, Any] = json.loads((FOLDER / "optical_ray.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
NAMES = {name for expression in EXPRESSIONS for name in re.findall(r"\bray_\w+", expression)}


def test_panels_have_their_own_ids_and_places() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_every_expression_asks_for_the_chosen_study() -> None:
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    assert variables == {"datasource", "study"}
    for expression in EXPRESSIONS:
        selectors = re.findall(r"ray_optical_\w+(\{[^}]*\})?", expression)
        assert selectors
        assert all('study=~"$study"' in selector for selector in selectors), expression


def test_the_dashboard_names_every_gauge_and_no_other() -> None:
    from optical_ray.tracking import gauges

    documented = set(re.findall(r"^(optical_\w+) ", gauges.__doc__ or "", re.MULTILINE))
    assert {f"ray_{name}" for name in documented} == NAMES


def test_prometheus_reads_the_list_of_nodes_that_ray_writes() -> None:
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    [files] = job["file_sd_configs"]
    assert [Path(path).name for path in files["files"]] == [PROMETHEUS_SERVICE_DISCOVERY_FILE]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_promtool_accepts_the_scrape_config() -> None:
    subprocess.run(["promtool", "check", "config", FOLDER / "prometheus.yml"], check=True, capture_output=True)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """One trial done, one running, and the baseline."""
    scores = {"eval": {"AP": {"sw": 0.1}}}
    write_json(tmp_path / "study.json", {"experiment": {"search": {"num_trials": 4, "objective": "AP"}}})
    ledger = Ledger.open(tmp_path)
    for key in ("done", "running"):
        ledger.create(key, params={}, seed=1, config={}, source_languages=("de",), steps=2)
        ledger.start(key, resumed_from=0)
        ledger.log(key, [{"step": 1, "loss": 0.5, "ot/marginal_error": 1e-3, "tokens_per_second": 10.0}])
    write_json(ledger.trial_folder("done") / "scores.json", scores)
    ledger.finish("done", TrialState.COMPLETE)
    (tmp_path / "baselines" / "undistilled").mkdir(parents=True)
    write_json(tmp_path / "baselines" / "undistilled" / "scores.json", scores)
    return tmp_path


@pytest.mark.ray
@pytest.mark.slow
def test_ray_exports_every_metric_of_the_dashboard(ray_cluster: None, study: Path) -> None:
    import ray

    from optical_ray.tracking.gauges import StudyGauges

    gauges = StudyGauges(study)
    node = ray.nodes()[0]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline = time.monotonic() + 60
    missing = NAMES
    while missing and time.monotonic() < deadline:
        gauges.sync()
        with urllib.request.urlopen(address, timeout=10) as answer:
            exported = set(re.findall(r"^(ray_optical_\w+)\{", answer.read().decode(), re.MULTILINE))
        missing = NAMES - exported
        time.sleep(1)
    assert not missing
