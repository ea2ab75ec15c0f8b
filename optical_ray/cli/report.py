"""The verb ``report``: the study's page. Needs neither Ray nor torch."""

from __future__ import annotations

from optical_ray.cli.options import StudyDir


def command(study_dir: StudyDir) -> None:
    """Write report/index.html and print a sentence for each target."""
    from optical_ray.cli.screen.terminal import console
    from optical_ray.report.write import write_report
    from optical_ray.study.records import Ledger

    Ledger.open(study_dir)
    result = write_report(study_dir)
    screen = console()
    for line in (*result.headlines, result.note):
        screen.print(line, soft_wrap=True, markup=False)
    screen.print(f"\n{result.page}", soft_wrap=True, markup=False)
