"""The dashboard shows every gauge that a study exports, and only those."""

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
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import UNDISTILLED, StudyFolder
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.trackers import prometheus

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
BOARD: dict[str, Any] = json.loads((FOLDER / "optical_ray.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
NAMES = {name for expression in EXPRESSIONS for name in re.findall(r"\bray_\w+", expression)}


def test_panels_have_unique_ids_and_do_not_overlap() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for a, b in combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (a, b)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_every_expression_selects_the_chosen_study() -> None:
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    assert variables == {"datasource", "study"}
    for expression in EXPRESSIONS:
        selectors = re.findall(r"ray_optical_\w+(\{[^}]*\})?", expression)
        assert selectors
        assert all('study=~"$study"' in selector for selector in selectors), expression


def test_the_dashboard_shows_exactly_the_documented_gauges() -> None:
    documented = set(re.findall(r"^(optical_\w+) ", prometheus.__doc__ or "", re.MULTILINE))
    assert documented == set(prometheus.LABELS) == set(prometheus.DESCRIPTIONS)
    assert {f"ray_{name}" for name in documented} == NAMES


def test_prometheus_reads_the_node_list_that_ray_writes() -> None:
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
    """A study with a complete trial, a running trial and the undistilled baseline."""
    scores, folder = {"eval": {"AP": {"sw": 0.1}}}, StudyFolder(tmp_path)
    StudyInfo("id", tmp_path.name, 0.0, {"search": {"objective": "AP"}}, ("sw",), num_trials=4).write(tmp_path)
    ledger = Ledger.open(tmp_path)
    for key in ("done", "running"):
        ledger.create(key, params={}, seed=1, config={}, source_languages=("de",), steps=2)
        ledger.start(key, resumed_from=0)
        ledger.log(key, [{"step": 1, "loss": 0.5, "ot/marginal_error": 1e-3, "tokens_per_second": 10.0}])
    write_json(folder.trial("done").scores, scores)
    ledger.finish("done", TrialState.COMPLETE)
    folder.baseline(UNDISTILLED).path.mkdir(parents=True)
    write_json(folder.baseline(UNDISTILLED).scores, scores)
    return tmp_path


@pytest.mark.ray
@pytest.mark.slow
def test_ray_exports_every_metric_of_the_dashboard(ray_cluster: None, study: Path) -> None:
    import ray

    tracker = prometheus.PrometheusTracker(study)
    node = ray.nodes()[0]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline = time.monotonic() + 60
    missing = NAMES
    while missing and time.monotonic() < deadline:
        tracker.sync()
        with urllib.request.urlopen(address, timeout=10) as answer:
            exported = set(re.findall(r"^(ray_optical_\w+)\{", answer.read().decode(), re.MULTILINE))
        missing = NAMES - exported
        time.sleep(1)
    assert not missing
