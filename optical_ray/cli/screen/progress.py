"""The progress of a launch: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from optical_ray.config.experiment import Experiment
from optical_ray.languages import set_label
from optical_ray.report.data_lines import data_lines
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from optical_ray.study.summary import best_of, seconds_left, states
from optical_ray.sweep.observer import Observer

INTERVAL = 1.0
"""Seconds between two updates."""


class Watch(Observer):
    """Context manager that shows a launch; ``on_scored`` is called with the study's folder after scoring."""

    def __init__(
        self, console: Console, experiment: Experiment, on_scored: Callable[[Path], None] = lambda folder: None
    ):
        self._console, self._experiment, self._then = console, experiment, on_scored
        self._launched = time.time()
        self._stage, self._printed_stage = "starting", ""
        self._ledger: Ledger | None = None
        self._info: StudyInfo | None = None
        self._data: Mapping[str, Any] = {}
        self._printed: dict[str, TrialState] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def on_stage(self, stage: str) -> None:
        """Show ``stage`` from now on."""
        self._stage = stage

    def on_data(self, report: Mapping[str, Any]) -> None:
        """Keep the counts for ``print_data``."""
        self._data = report

    def on_open(self, ledger: Ledger, info: StudyInfo) -> None:
        """Show the trials of ``ledger`` from now on."""
        self._info, self._ledger = info, ledger

    def on_scored(self, folder: Path) -> None:
        """Call the function that was given."""
        self._then(folder)

    def print_data(self, screen: Console) -> None:
        """Print the numbers of texts that were read, kept and dropped."""
        for line in data_lines(self._data, self._experiment.trial.data.leaks):
            screen.print(line, soft_wrap=True, markup=False)

    def _run(self) -> None:
        if not self._console.is_terminal:
            while not self._ended.wait(INTERVAL):
                self._print_changes()
            self._print_changes()
            return
        with Live(
            self._panel(),
            console=self._console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,  # the output of other libraries goes to the log
            redirect_stderr=False,
        ) as live:
            while not self._ended.wait(INTERVAL / 2):
                live.update(self._panel())

    def _print_changes(self) -> None:
        """Print one line for each change since the last call."""
        if self._stage != self._printed_stage:
            self._printed_stage = self._stage
            self._console.print(f"{self._elapsed()}  {self._stage}")
        for record in self._records():
            before = self._printed.get(record.key)
            if record.state is not before:
                self._printed[record.key] = record.state
                if record.state is not TrialState.WAITING and not (before is None and record.state.is_finished):
                    self._console.print(f"{self._elapsed()}  {self._line(record)}", markup=False)

    def _line(self, record: TrialRecord) -> str:
        assert self._ledger is not None
        assert self._info is not None
        params = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in record.params.items())
        head = f"trial {record.number + 1}/{self._info.num_trials} {record.key} ({params}, seed {record.seed})"
        if record.state is TrialState.RUNNING:
            return f"{head}: attempt {record.attempts}"
        if record.state is TrialState.COMPLETE:
            metric = self._info.objective
            scores = self._ledger.scores(record.key).get("eval", {}).get(metric, {})
            return f"{head}: {metric} on eval " + "  ".join(f"{target} {value:.3f}" for target, value in scores.items())
        return f"{head}: {record.state.value}{f' ({record.error})' if record.error else ''}"

    def _panel(self) -> Group:
        head = Text.assemble((self._experiment.name, "head"), f"  {self._stage}  {self._elapsed()}")
        ledger, info = self._ledger, self._info
        if ledger is None or info is None or not ledger.records:
            return Group(head)
        finished = sum(record.state.is_finished for record in self._records())
        left = seconds_left(ledger, info)
        bar = Table.grid(padding=(0, 2))
        counts = "  ".join(f"{state.lower()} {count}" for state, count in sorted(states(ledger).items()))
        bar.add_row(
            ProgressBar(total=max(1, info.num_trials), completed=finished, width=30),
            f"{finished}/{info.num_trials}",
            counts,
            "" if left is None else f"about {left / 60:.0f} min left",
        )
        lines = [_running(ledger, record) for record in self._records() if record.state is TrialState.RUNNING]
        best = {target: best_of(ledger, info.objective, target) for target in info.targets}
        shown = "  ".join(f"{target} {trial.eval:.3f}" for target, trial in best.items() if trial is not None)
        return Group(head, bar, Text(f"best {info.objective} on eval: {shown or '-'}"), *lines)

    def _records(self) -> tuple[TrialRecord, ...]:
        return () if self._ledger is None else self._ledger.records

    def _elapsed(self) -> str:
        seconds = int(time.time() - self._launched)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"


def _running(ledger: Ledger, record: TrialRecord) -> Text:
    row = ledger.last_row(record.key)
    progress = f"step {row['step']}/{record.steps}  loss {row['loss']:.3f}" if row else "starting"
    return Text(f"  {record.key}  {set_label(record.source_languages):<12} {progress}", style="note")
