from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.theme import Theme

from optical_ray.cli.screen.tables import best_lines, score_table
from optical_ray.study.info import StudyInfo
from tests.report.planted import Planted, write_study

EFFECTS = {"de": {"news": 0.0, "mr": 0.01}, "hi": {"news": 0.03, "mr": 0.08}, "swh_Latn": {"news": 0.2, "mr": 0.0}}


def test_languages_have_names_and_supervision_is_by_language(tmp_path: Path) -> None:
    ledger = write_study(tmp_path / "study", Planted(EFFECTS, num_topics=20, num_seeds=1))
    info = StudyInfo.read(ledger.folder)
    collections = {"news": {"kind": "jsonl", "language": "sw"}, "mr": {"kind": "jsonl", "language": "mar"}}
    replace(info, experiment={**info.experiment, "data": {"collections": collections}}).write(ledger.folder)
    stream = StringIO()
    styles = dict.fromkeys(("head", "note", "best", "supervised"), "none")
    Console(file=stream, width=200, theme=Theme(styles)).print(score_table(ledger, "AP", ["news", "mr"]))
    title, header, undistilled, *rows = stream.getvalue().splitlines()
    assert "AP on the test split" in title
    assert "Swahili (sw, news)" in header
    assert "Marathi (mar, mr)" in header
    assert "(undistilled)" in undistilled
    marked = [row for row in rows if "°" in row]
    assert len(marked) == 4
    assert all("Swahili" in row for row in marked)
    assert any(row.startswith("German + Hindi (de+hi)") for row in rows)
    lines = best_lines(ledger, "AP", ["news", "mr"])
    assert lines[0].startswith("Swahili (sw, news): undistilled 0.")
    assert "; best " in lines[1]
