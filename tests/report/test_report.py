from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as graph_objects
import pyarrow.parquet as pq
import pytest

from optical_ray.report import ReportResult, heatmap_png, write_report
from optical_ray.study.files import read_json, write_json
from optical_ray.types import InputError

REMOTE = re.compile(r'<(script|img|link|iframe)[^>]+(src|href)="?(https?:)?//[^" >]+')
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Balance(HTMLParser):
    """Collects tags that are closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


KINDS = pytest.mark.parametrize("kind", ["lattice", "quick"])


@KINDS
def test_the_page_refers_to_nothing_outside(kind: str, reports: dict[str, ReportResult]) -> None:
    result = reports[kind]
    page = result.page.read_text(encoding="utf-8")
    assert result.page.parts[-3:] == (kind, "report", "index.html")
    assert not REMOTE.search(page)
    assert "Holm" in page
    assert "conditional on the trained seeds and the shared teacher" in page
    assert len(page.encode()) < 8_000_000
    balance = Balance()
    balance.feed(page)
    assert not balance.wrong
    assert not balance.open
    assert str(result.page.parent) not in page


@KINDS
def test_a_plain_sentence_per_target_comes_first(kind: str, reports: dict[str, ReportResult]) -> None:
    answers = reports[kind].headlines
    swahili, supervised, transfer, yoruba = (answer.splitlines()[0] for answer in answers)
    assert "Swahili (sw)" in swahili
    assert re.fullmatch(
        r".+ bitext helps Marathi \(mr\) \(supervision, not transfer\): \+0\.\d{3} MAP, p < \.001", supervised
    )
    assert re.fullmatch(
        r"German \(de\) and Hindi \(hi\) bitext helps Marathi \(mr\): \+0\.\d{3} MAP, p < \.001", transfer
    )
    assert yoruba == "Yoruba (yo): no set helps; stay with English-only"
    assert all("English-only 0." in answer.splitlines()[1] for answer in answers)
    assert "Holm" in reports[kind].note


def test_one_seed_claims_nothing_across_seeds(reports: dict[str, ReportResult]) -> None:
    result = reports["quick"]
    assert all("1 seed: no claim across seeds" in line for line in result.headlines)
    assert not any("over topics and seeds" in line for line in result.headlines)
    assert any("One seed" in item for item in result.missing)


def test_every_table_has_its_files(reports: dict[str, ReportResult]) -> None:
    result = reports["lattice"]
    folder = result.page.parent
    page = result.page.read_text(encoding="utf-8")
    for name in re.findall(r'class="file" href="([^"]+)"', page):
        assert (folder / name).is_file(), name
    for path in folder.glob("*.parquet"):
        assert pq.read_table(path).num_rows
    assert (folder / "matrix.tex").read_text(encoding="utf-8").count(r"\toprule") == 1


def test_a_control_has_the_spread_of_its_seeds(reports: dict[str, ReportResult]) -> None:
    rows = {
        row["source_set"]: row for row in pq.read_table(reports["lattice"].page.parent / "matrix.parquet").to_pylist()
    }
    control = rows["control: English bitext onto itself"]
    assert control["sw_seed_sd"] == pytest.approx(0.01)  # seeds are .01 apart
    assert rows["BM25"]["sw_seed_sd"] is None


@KINDS
def test_figures_are_valid_plotly(kind: str, reports: dict[str, ReportResult]) -> None:
    page = reports[kind].page.read_text(encoding="utf-8")
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert found
    for name, spec in json.loads(found[1]).items():
        assert f'data-figure="{name}"' in page
        text = json.dumps(spec).replace('"@ink"', '"black"')
        graph_objects.Figure(json.loads(text))


def test_a_second_report_is_the_same(reports: dict[str, ReportResult]) -> None:
    page = reports["quick"].page
    first = page.read_bytes()
    write_report(page.parent.parent)
    assert page.read_bytes() == first


def test_heatmap_png(quick: Path, tmp_path: Path) -> None:
    heatmap_png(quick, tmp_path / "deep" / "map.png", "AP")
    assert (tmp_path / "deep" / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="no rows of nDCG@20"):
        heatmap_png(quick, tmp_path / "map.png", "nDCG@20")


def test_samples_of_other_steps_are_shown(quick: Path) -> None:
    write_json(quick / "overlap.json", {"hi": {"mr": 0.4, "sw": 0.0}})
    (quick / "alignment").mkdir()
    sample = {"language": "mr", "pivot_tokens": ["a", "b"], "tokens": ["x"], "plan": [[0.7, 0.3]], "epsilon": 0.1}
    write_json(quick / "alignment" / "mr-0.json", sample)
    write_json(quick / "alignment" / "of-another-layout.json", {"rows": []})
    write_json(quick / "baselines" / "undistilled" / "language_mix.json", {"mr": {"en": 1.0}})
    page = write_report(quick).page.read_text(encoding="utf-8")
    assert "Alignment mr-0" in page
    assert "Languages retrieved" in page
    assert "Subword overlap" in page


def test_leaks_and_other_metrics_are_shown(quick: Path) -> None:
    found = [{"bitext": "made", "language": "hi", "pairs": 900, "leaks": 31, "sets": {"mr test": 31}}]
    about = read_json(quick / "study.json")
    about["data"] = {
        "bitext": {"hi": [{"pairs": 900, "dropped": {"duplicate": 7}, "truncated": 2}]},
        "leaks": {"collections": ["mr"], "pairs": 900, "leaks": 31, "found": found},
    }
    write_json(quick / "study.json", about)
    for path in [*quick.glob("trials/*/scores.json"), quick / "baselines" / "undistilled" / "scores.json"]:
        scores = read_json(path)
        value = 0.25 if "baselines" in path.parts else 0.75
        scores["test"]["macro_AP"] = dict.fromkeys(scores["test"]["AP"], value)
        write_json(path, scores)
    result = write_report(quick)
    page = result.page.read_text(encoding="utf-8")
    assert "leaks, dropped from training: made hi 31 of 900 pairs (mr test 31)" in page
    assert "bitext hi: 7 duplicate, 2 sentences truncated" in page
    rows = pq.read_table(result.page.parent / "metrics.parquet").to_pylist()
    assert {row["metric"] for row in rows} == {"macro_AP"}
    assert rows[0]["sw"] == 0.25
    assert {row["sw"] for row in rows[1:]} == {0.75}
