"""A launch as it goes: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from optical_ray.config.experiment import Experiment
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import TrialRecord, TrialState
from optical_ray.study.summary import best_of, seconds_left, states
from optical_ray.sweep.study import Progress

EVERY = 1.0
"""Seconds between two looks."""


class Watch:
    """Shows ``progress`` until the block is left."""

    def __init__(self, console: Console, experiment: Experiment, progress: Progress):
        self._console, self._experiment, self._progress = console, experiment, progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._stage = ""
        self._seen: dict[str, TrialState] = {}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        if not self._console.is_terminal:
            while not self._ended.wait(EVERY):
                self._say()
            self._say()
            return
        with Live(
            self._panel(),
            console=self._console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,  # what others print belongs in the log
            redirect_stderr=False,
        ) as live:
            while not self._ended.wait(EVERY / 2):
                live.update(self._panel())

    def _say(self) -> None:
        """Plain lines: what is new since the last look."""
        if self._progress.stage != self._stage:
            self._stage = self._progress.stage
            self._console.print(f"{self._elapsed()}  {self._stage}")
        for record in self._records():
            before = self._seen.get(record.key)
            if record.state is not before:
                self._seen[record.key] = record.state
                if record.state is not TrialState.WAITING and not (before is None and record.state.is_finished):
                    self._console.print(f"{self._elapsed()}  {self._line(record)}")

    def _line(self, record: TrialRecord) -> str:
        params = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in record.params.items())
        head = f"trial {record.number + 1}/{self._progress.total} {record.key} ({params}, seed {record.seed})"
        if record.state is TrialState.RUNNING:
            return f"{head}: attempt {record.attempts}"
        if record.state is TrialState.COMPLETE and self._progress.ledger is not None:
            metric = self._experiment.search.objective
            scores = self._progress.ledger.scores(record.key).get("eval", {}).get(metric, {})
            return f"{head}: {metric} on eval " + "  ".join(f"{target} {value:.3f}" for target, value in scores.items())
        return f"{head}: {record.state.value}{f' ({record.error})' if record.error else ''}"

    def _panel(self) -> Group:
        progress, ledger = self._progress, self._progress.ledger
        head = Text.assemble((self._experiment.name, "head"), f"  {progress.stage}  {self._elapsed()}")
        if ledger is None or not ledger.records:
            return Group(head)
        finished = sum(record.state.is_finished for record in self._records())
        left = seconds_left(ledger, StudyInfo.read(ledger.folder))
        bar = Table.grid(padding=(0, 2))
        counts = "  ".join(f"{state.lower()} {count}" for state, count in sorted(states(ledger).items()))
        ending = "" if left is None else f"about {left / 60:.0f} min left"
        bar.add_row(
            ProgressBar(total=max(1, progress.total), completed=finished, width=30),
            f"{finished}/{progress.total}",
            counts,
            ending,
        )
        lines = [self._running(record) for record in self._records() if record.state is TrialState.RUNNING]
        return Group(head, bar, self._best(), *lines)

    def _running(self, record: TrialRecord) -> Text:
        assert self._progress.ledger is not None
        row = self._progress.ledger.last_row(record.key)
        at = f"step {row['step']}/{record.steps}  loss {row['loss']:.3f}" if row else "starting"
        return Text(f"  {record.key}  {'+'.join(record.source_languages):<12} {at}", style="note")

    def _best(self) -> Text:
        assert self._progress.ledger is not None
        metric = self._experiment.search.objective
        best = {target: best_of(self._progress.ledger, metric, target) for target in self._experiment.targets}
        shown = "  ".join(f"{target} {one.eval:.3f}" for target, one in best.items() if one is not None)
        return Text(f"best {metric} on eval: {shown or '-'}")

    def _records(self) -> tuple[TrialRecord, ...]:
        return () if self._progress.ledger is None else self._progress.ledger.records

    def _elapsed(self) -> str:
        seconds = int(time.time() - self._progress.started)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"
