from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from optical_ray.analysis import heatmap_png, write_report

REMOTE = re.compile(r'<(script|img|link|iframe)[^>]+(src|href)="?(https?:)?//[^" >]+')
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Balance(HTMLParser):
    """Notes tags that are closed in the wrong order."""

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


@pytest.mark.parametrize("kind", ["lattice", "quick"])
def test_the_page_stands_alone(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    result = write_report(folder)
    page = result.page.read_text(encoding="utf-8")
    assert result.page == folder / "report" / "index.html"
    assert not REMOTE.search(page)
    assert "Holm" in page
    assert "conditional on the trained seeds and the shared teacher" in page
    assert len(page.encode()) < 8_000_000
    balance = Balance()
    balance.feed(page)
    assert not balance.wrong
    assert not balance.open
    assert str(folder) not in page


@pytest.mark.parametrize("kind", ["lattice", "quick"])
def test_a_line_per_target_starts_with_it(kind: str, request: pytest.FixtureRequest) -> None:
    lines = write_report(request.getfixturevalue(kind)).headlines
    for target in ("sw", "mr", "yo"):
        own = [line for line in lines if line.startswith(f"{target}: ")]
        assert own
        assert all("best source set" in line for line in own)
    supervised = [line for line in lines if line.startswith("mr: ")]
    assert "supervision, not transfer" in supervised[0]
    assert "once mr itself is left out" in supervised[1]


def test_one_seed_claims_nothing_across_seeds(quick: Path) -> None:
    result = write_report(quick)
    assert all("1 seed: no claim across seeds" in line for line in result.headlines)
    assert not any("over topics and seeds" in line for line in result.headlines)
    assert any("One seed" in item for item in result.missing)


def test_every_table_lies_beside_the_page(lattice: Path) -> None:
    result = write_report(lattice)
    folder = result.page.parent
    page = result.page.read_text(encoding="utf-8")
    for name in re.findall(r'class="file" href="([^"]+)"', page):
        assert (folder / name).is_file(), name
    for path in folder.glob("*.parquet"):
        rows = pq.read_table(path).num_rows
        assert rows
    assert (folder / "matrix.tex").read_text(encoding="utf-8").count(r"\toprule") == 1


def test_a_second_report_is_the_same(lattice: Path) -> None:
    first = write_report(lattice).page.read_bytes()
    assert write_report(lattice).page.read_bytes() == first


def test_heatmap_png(lattice: Path, tmp_path: Path) -> None:
    heatmap_png(lattice, tmp_path / "deep" / "map.png", "AP")
    assert (tmp_path / "deep" / "map.png").read_bytes().startswith(b"\x89PNG")
