"""Study folder -> ``report/``: one page that stands alone, its tables as files, its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optical_ray.analysis import pictures
from optical_ray.analysis.answers import answer_section, evidence_section, matrix_section
from optical_ray.analysis.effects import compare, matrix
from optical_ray.analysis.games import games, solve
from optical_ray.analysis.headlines import Headline, headlines
from optical_ray.analysis.languages import predictor_section, shapley_section
from optical_ray.analysis.load import SOURCES, load_study
from optical_ray.analysis.methods import methods_section
from optical_ray.analysis.page import Section, render
from optical_ray.analysis.provenance import data_section, provenance_section, trials_section
from optical_ray.analysis.robustness import control_section, epsilon_curves, settings_section, variance_section
from optical_ray.analysis.samples import sample_section
from optical_ray.analysis.search import search_section
from optical_ray.analysis.study import Study
from optical_ray.analysis.tables import Column, Table, write_tables
from optical_ray.analysis.topics import topic_section
from optical_ray.study.files import write_atomic
from optical_ray.study.records import Ledger
from optical_ray.study.summary import unconverged


@dataclass(frozen=True)
class ReportResult:
    """Where the report lies and what it says. ``headlines``: lines for a terminal, each starts with its target."""

    page: Path
    headlines: tuple[str, ...]
    missing: tuple[str, ...]
    files: tuple[Path, ...]


def write_report(study_folder: Path) -> ReportResult:
    """Write ``report/index.html`` with CSV, Parquet, LaTeX and PNG beside it, from the ledger alone.

    Works on a running or partly failed study and says what is missing. Raises ``InputError`` where there is nothing to
    compare yet (see ``load_study``).
    """
    study = load_study(study_folder)
    ledger = Ledger.open(study_folder)
    cells = matrix(study)
    family = compare(study, cells)
    lines = headlines(study, cells, family)
    matrix_part, matrix_table = matrix_section(study, cells, family, ledger)
    missing = missing_parts(study)
    chosen = tuple(line.comparison for line in lines)
    solutions, unsolved = solve(games(study, cells))
    parts = [
        answer_section(study, lines),
        matrix_part,
        _missing_section(missing) if missing else None,
        evidence_section(study, cells, family, lines),
        control_section(study, cells, chosen),
        shapley_section(study, solutions, unsolved),
        settings_section(study),
        variance_section(study),
        topic_section(study, chosen, study_folder),
        predictor_section(study, cells, family, study_folder),
        sample_section(study, chosen),
        search_section(study, ledger, chosen),
        data_section(study),
        trials_section(study, ledger),
        provenance_section(study, ledger),
        methods_section(study, family),
    ]
    sections = [part for part in parts if part is not None]
    folder = study_folder / "report"
    folder.mkdir(exist_ok=True)
    tables = [matrix_table, *(table for section in sections for table in (*section.tables, *section.folded))]
    files = list(write_tables(folder, [*tables, headline_table(lines)]))
    pictures.save(pictures.heatmap(study, cells, family), folder / "heatmap.png")
    pictures.save(pictures.forest(study, family), folder / "forest.png")
    curves = epsilon_curves(study)
    if curves:
        pictures.save(pictures.parameter_curve(study, curves), folder / "epsilon.png")
    page = folder / "index.html"
    write_atomic(page, render(study.name, _lead(study), _facts(study), sections))
    return ReportResult(page, tuple(line.line for line in lines), missing, tuple(files))


def missing_parts(study: Study) -> tuple[str, ...]:
    """What a reader must know that this study cannot say, or does not say yet."""
    found = list(study.notes)
    waiting = study.states.get("RUNNING", 0) + study.states.get("WAITING", 0)
    if waiting:
        found.append(
            f"The study is not finished: {waiting} trials are running or waiting. Report again when they are done."
        )
    designed = len((study.about.get("design") or {}).get("configurations") or [])
    if designed > len(study.systems):
        found.append(
            f"The design is incomplete so far: {designed - len(study.systems)} of {designed} configurations have no "
            "scores; effects, variance shares and Shapley values are those of what is there."
        )
    space = study.experiment.get("space", {}).get(SOURCES) or {}
    absent = [name for name in space.get("of", ()) if name not in study.languages]
    if absent:
        found.append(f"No finished configuration holds {', '.join(absent)}, so nothing is said of it as a source.")
    if study.states.get("FAIL"):
        found.append(f"{study.states['FAIL']} trials failed and are left out (reasons under Trials).")
    if study.states.get("PRUNED"):
        found.append(
            f"{study.states['PRUNED']} trials were stopped early by the scheduler and are left out: what remains "
            "leans towards configurations that learn fast."
        )
    if loose := unconverged(Ledger.open(study.folder)):
        found.append(
            f"In {len(loose)} trials the transport plans were none yet when training ended (marginal error up to "
            f"{max(error for _, error in loose):.2g}): more iterations or a larger epsilon would change them."
        )
    if len(study.seeds) == 1:
        found.append("One seed: nothing is claimed across seeds; topic tests speak of these very students.")
    if study.mode != "estimate":
        found.append(
            "Search mode optimise: configurations were chosen by a searcher, so cells rest on unequal numbers of "
            "tries; use mode estimate for a balanced answer."
        )
    return tuple(found)


def _missing_section(missing: Sequence[str]) -> Section:
    return Section("limits", "What this study cannot say", tuple(missing))


def headline_table(lines: Sequence[Headline]) -> Table:
    """The sentences with their numbers, for a file."""
    columns = (
        Column("target", "Target"), Column("kind", "Kind"), Column("source_set", "Source set"),
        Column("mean", "Score", 3),
        Column("gain", "gain", 3, sign=True), Column("ci_low", "CI low", 3, sign=True),
        Column("ci_high", "CI high", 3, sign=True), Column("p_holm", "p Holm", p=True),
        Column("sentence", "Sentence", wrap=True),
    )  # fmt: skip
    rows = tuple(
        (line.target, line.kind, line.comparison.label, line.comparison.mean, line.comparison.gain,
         line.comparison.interval.low, line.comparison.interval.high, line.comparison.p_holm, line.line)
        for line in lines
    )  # fmt: skip
    return Table("headlines", "The headline sentences: chosen on eval, reported on test.", columns, rows)


def _lead(study: Study) -> str:
    languages = ", ".join(study.languages)
    return (
        f"Which of the source languages {languages} help which target, after distilling an English retriever into "
        f"them, measured by {study.measure} on {len(study.targets)} target{'s' if len(study.targets) > 1 else ''}."
    )


def _facts(study: Study) -> list[tuple[str, str]]:
    finished = sum(len(system.keys) for system in study.systems)
    total = sum(study.states.values())
    created = study.about.get("created")
    facts = [
        ("design", f"{study.mode}, {len(study.systems)} configurations"),
        ("trials analysed", f"{finished} of {total}"),
        ("seeds", str(len(study.seeds))),
        ("targets", ", ".join(study.targets)),
        ("test topics", _each([len(study.test(target).topics) for target in study.targets])),
    ]
    if isinstance(created, int | float):
        facts.append(("study begun", datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d")))
    return facts


def _each(counts: Sequence[int]) -> str:
    return f"{counts[0]} each" if len(set(counts)) == 1 else ", ".join(map(str, counts))
