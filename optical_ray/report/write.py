"""Study folder -> ``report/``: one self-contained page, its tables as files, its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optical_ray.languages import language_label
from optical_ray.report import images
from optical_ray.report.comparisons import Comparison, compare
from optical_ray.report.games import games, solve
from optical_ray.report.headlines import COMMON, Headline, headlines
from optical_ray.report.limits import limits_section, missing_parts
from optical_ray.report.load import load_study
from optical_ray.report.matrix import matrix
from optical_ray.report.page import render
from optical_ray.report.sections.answer import answer_section
from optical_ray.report.sections.controls import control_section
from optical_ray.report.sections.evidence import evidence_section
from optical_ray.report.sections.languages import shapley_section
from optical_ray.report.sections.matrix import matrix_section
from optical_ray.report.sections.methods import methods_section
from optical_ray.report.sections.predictors import predictor_section
from optical_ray.report.sections.provenance import data_section, provenance_section, trials_section
from optical_ray.report.sections.samples import sample_section
from optical_ray.report.sections.search import search_section
from optical_ray.report.sections.settings import epsilon_curves, settings_section
from optical_ray.report.sections.topics import topic_section
from optical_ray.report.sections.variance import variance_section
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, write_tables
from optical_ray.study.files import write_atomic
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger


@dataclass(frozen=True)
class ReportResult:
    """The files of a report.

    ``headlines`` are the answers for a terminal, one per target and kind, and ``note`` states what they have in common;
    ``missing`` states what the study cannot show.
    """

    page: Path
    headlines: tuple[str, ...]
    note: str
    missing: tuple[str, ...]
    files: tuple[Path, ...]


def write_report(study_folder: Path) -> ReportResult:
    """Write ``report/index.html`` with its CSV, Parquet, LaTeX and PNG files from the study's folder.

    Works for a running or partly failed study and reports what is missing. Raises ``InputError`` if nothing can be
    compared yet (see ``load_study``).
    """
    study = load_study(study_folder)
    ledger = Ledger.open(study_folder)
    cells = matrix(study)
    family = compare(study, cells)
    answers = headlines(study, cells, family)
    matrix_part, matrix_table = matrix_section(study, cells, family, ledger)
    missing = missing_parts(study, family)
    chosen = tuple(answer.comparison for answer in answers)
    solutions, unsolved = solve(games(study, cells))
    parts = [
        answer_section(study, answers),
        matrix_part,
        limits_section(missing) if missing else None,
        evidence_section(study, cells, family, answers),
        control_section(study, cells, chosen),
        shapley_section(study, solutions, unsolved),
        settings_section(study),
        variance_section(study),
        topic_section(study, chosen),
        predictor_section(study, cells, family),
        sample_section(study, chosen),
        search_section(study, ledger, chosen),
        data_section(study),
        trials_section(study, ledger),
        provenance_section(study, ledger),
        methods_section(study, family),
    ]
    sections = [part for part in parts if part is not None]
    folder = StudyFolder(study_folder).report
    folder.mkdir(exist_ok=True)
    tables = [matrix_table, *(table for section in sections for table in (*section.tables, *section.folded))]
    files = write_tables(folder, [*tables, headline_table(study, answers)])
    _write_images(study, folder, images.heatmap(study, cells, family), family)
    page = folder / "index.html"
    write_atomic(page, render(study.name, _lead(study), _facts(study), sections))
    return ReportResult(page, tuple(answer.text for answer in answers), COMMON, missing, files)


def _write_images(study: Study, folder: Path, heatmap: images.Figure, family: Sequence[Comparison]) -> None:
    images.save(heatmap, folder / "heatmap.png")
    images.save(images.forest(study, family), folder / "forest.png")
    curves = epsilon_curves(study)
    if curves:
        images.save(images.parameter_curve(study, curves), folder / "epsilon.png")


def headline_table(study: Study, answers: Sequence[Headline]) -> Table:
    """Return the answers with their numbers, for a file."""
    columns = (
        Column("target", "Target", names=study.target_labels), Column("kind", "Kind"),
        Column("source_set", "Source set", names=study.set_labels), Column("mean", "Score", 3),
        Column("gain", "gain", 3, sign=True), Column("ci_low", "CI low", 3, sign=True),
        Column("ci_high", "CI high", 3, sign=True), Column("p_holm", "p Holm", p=True),
        Column("p_seeds_holm", "p Holm, seeds", p=True), Column("helps", "helps"),
        Column("sentence", "Sentence", wrap=True), Column("evidence", "Evidence", wrap=True),
    )  # fmt: skip
    rows = tuple(
        (answer.target, answer.kind, answer.comparison.label, answer.comparison.mean, answer.comparison.gain,
         answer.comparison.interval.low, answer.comparison.interval.high, answer.comparison.p_holm,
         answer.comparison.p_seeds_holm, answer.helps, answer.sentence, answer.evidence)
        for answer in answers
    )  # fmt: skip
    return Table("headlines", "The answers: source sets chosen on eval, judged on test.", columns, rows)


def _lead(study: Study) -> str:
    languages = ", ".join(language_label(code) for code in study.languages)
    return (
        f"Which of the source languages {languages} help which target, after distilling an English retriever into "
        f"them, measured by {study.measure} on {len(study.targets)} target{'s' if len(study.targets) > 1 else ''}."
    )


def _facts(study: Study) -> list[tuple[str, str]]:
    finished = sum(len(system.keys) for system in study.systems)
    sizes = [study.test(target).size for target in study.targets]
    return [
        ("design", f"{study.info.mode}, {len(study.systems)} configurations"),
        ("trials analysed", f"{finished} of {sum(study.states.values())}"),
        ("seeds", str(len(study.seeds))),
        ("targets", ", ".join(study.target_labels.values())),
        ("test split", f"{sizes[0]} each" if len(set(sizes)) == 1 else "; ".join(sizes)),
        ("study created", datetime.fromtimestamp(study.info.created, UTC).strftime("%Y-%m-%d")),
    ]
