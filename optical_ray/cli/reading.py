"""The verbs that take a STUDY_DIR: status, report, ui. They read; none of them needs Ray or torch."""

from __future__ import annotations

import json
from pathlib import Path

from optical_ray.cli.tables import best_lines, score_table
from optical_ray.cli.terminal import console
from optical_ray.study.info import StudyInfo
from optical_ray.study.lease import holder_of
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import seconds_left, states, status_json, unconverged_lines


def show_status(study_dir: Path, *, as_json: bool) -> None:
    """Print where the study stands."""
    ledger = Ledger.open(study_dir)
    if as_json:
        print(json.dumps(status_json(ledger), ensure_ascii=False, indent=1))
        return
    screen, study = console(), ledger.study
    metric = study["experiment"]["search"]["objective"]
    counts = "  ".join(f"{state} {count}" for state, count in sorted(states(ledger).items())) or "no trial yet"
    screen.print(f"[head]{study['name']}[/head]  {counts}")
    holder = holder_of(study_dir)
    if holder is not None:
        alive = "runs" if holder.is_alive else "is dead: run the study again to go on"
        screen.print(f"launcher {holder.host} pid {holder.pid} {alive} (last sign of life {holder.age:.0f} s ago)")
    running = sum(record.state is TrialState.RUNNING for record in ledger.records)
    left = seconds_left(ledger, StudyInfo.read(study_dir))
    if left and running:
        screen.print(f"about {left / 60:.0f} min left")
    screen.print(score_table(ledger, metric, study["targets"]))
    for line in [*best_lines(ledger, metric, study["targets"]), *unconverged_lines(ledger)]:
        screen.print(line, soft_wrap=True)


def make_report(study_dir: Path) -> None:
    """Write the report and print its headlines."""
    from optical_ray.report.write import write_report

    Ledger.open(study_dir)
    result = write_report(study_dir)
    screen = console()
    for line in result.headlines:
        screen.print(line, soft_wrap=True, markup=False)
    screen.print(f"\n{result.page}", soft_wrap=True, markup=False)


def open_ui(study_dir: Path, port: int) -> None:
    """Serve MLflow until it is interrupted."""
    from optical_ray.tracking.mlflow.ui import serve

    Ledger.open(study_dir)
    serve(study_dir, port)
