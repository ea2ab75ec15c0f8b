"""The verb ``status``: where a study stands. Needs neither Ray nor torch."""

from __future__ import annotations

import json

from optical_ray.cli.options import AsJson, StudyDir


def command(study_dir: StudyDir, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    """Show the trials by state, the best of each target, and the time left."""
    from optical_ray.cli.screen.tables import best_lines, score_table
    from optical_ray.cli.screen.terminal import console
    from optical_ray.study.lease import holder_of
    from optical_ray.study.records import Ledger, TrialState
    from optical_ray.study.summary import seconds_left, states, status_json, unconverged_messages

    ledger = Ledger.open(study_dir)
    if as_json:
        print(json.dumps(status_json(ledger), ensure_ascii=False, indent=1))
        return
    screen, info = console(), ledger.info
    counts = "  ".join(f"{state} {count}" for state, count in sorted(states(ledger).items())) or "no trial has started"
    screen.print(f"[head]{info.name}[/head]  {counts} of {info.num_trials}")
    holder = holder_of(study_dir)
    if holder is not None:
        state = "is running" if holder.is_alive else "has died (run the study again to resume)"
        screen.print(f"launcher {holder.host} pid {holder.pid} {state}, last heartbeat {holder.age:.0f} s ago")
    left = seconds_left(ledger, info)
    if left and any(record.state is TrialState.RUNNING for record in ledger.records):
        screen.print(f"about {left / 60:.0f} min left")
    screen.print(score_table(ledger, info.objective, info.targets))
    for line in [
        *best_lines(ledger, info.objective, info.targets),
        *unconverged_messages(ledger),
        *(f"{reason}. Its trial is left out." for reason in ledger.damaged.values()),
    ]:
        screen.print(line, soft_wrap=True)
