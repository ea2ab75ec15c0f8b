"""TREC runs are compared without a study."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from scipy.stats import permutation_test
from typer.testing import CliRunner

from optical_ray.cli.app import app
from optical_ray.report.runs import compare_runs
from optical_ray.types import InputError

TOPICS = [f"q{number}" for number in range(12)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Qrels with one relevant document per topic, and runs that rank it at 1, at 2, and at 1 or 2."""
    (tmp_path / "qrels.txt").write_text("".join(f"{topic} 0 {topic}-d0 1\n" for topic in TOPICS))
    generator = random.Random(1)
    for name, rank in (("first", lambda: 0), ("second", lambda: 1), ("mixed", lambda: generator.randint(0, 1))):
        lines = []
        for topic in TOPICS:
            documents = [f"{topic}-d1", f"{topic}-d2"]
            documents.insert(rank(), f"{topic}-d0")
            lines += [f"{topic} Q0 {doc} {place} {-place} {name}\n" for place, doc in enumerate(documents)]
        (tmp_path / f"{name}.trec").write_text("".join(lines))
    return tmp_path


def test_p_is_that_of_scipy_and_pairs_are_named_by_file(folder: Path) -> None:
    pairs = compare_runs([folder / "first.trec", folder / "mixed.trec"], folder / "qrels.txt")
    [pair] = pairs
    assert (pair.first, pair.second, pair.mean_first) == ("first", "mixed", 1.0)
    scores = [
        0.5 if line.split()[2].endswith("d1") else 1.0 for line in (folder / "mixed.trec").read_text().splitlines()[::3]
    ]
    expected = permutation_test(
        ([1.0] * len(TOPICS), scores),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
    )
    assert pair.difference == pytest.approx(expected.statistic)
    assert pair.p == pytest.approx(expected.pvalue)


def test_the_verb_writes_a_table_and_groups_raise_p(folder: Path) -> None:
    (folder / "groups.tsv").write_text("".join(f"{topic}\tg{place % 3}\n" for place, topic in enumerate(TOPICS)))
    runs = [str(folder / f"{name}.trec") for name in ("first", "second", "mixed")]
    arguments = ["significance", *runs, "--qrels", str(folder / "qrels.txt"), "--out", str(folder / "out")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with open(folder / "out" / "comparisons.csv", encoding="utf-8") as stream:
        rows = {(row["first"], row["second"]): row for row in csv.DictReader(stream)}
    assert len(rows) == 3
    assert float(rows["first", "second"]["p_holm"]) < 0.01
    assert CliRunner().invoke(app, [*arguments, "--groups", str(folder / "groups.tsv")]).exit_code == 0
    with open(folder / "out" / "comparisons.csv", encoding="utf-8") as stream:
        assert min(float(row["p_holm"]) for row in csv.DictReader(stream)) >= 0.25


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("qrels.txt", "other 0 d 1\n", r"first\.trec: none of its 12 topics"),
        ("qrels.txt", "q0 0 d 0\n", "no topic has a document of grade >= 1"),
        ("qrels.txt", "q0 0 d 1\nq0 0 d 1\n", "judged twice"),
        ("groups.tsv", "q0\n", r"groups\.tsv:1: expected topic and group"),
        ("groups.tsv", "q0\tg\n", "11 judged topics have no group"),
    ],
)
def test_files_that_do_not_fit_are_refused(folder: Path, file: str, content: str, message: str) -> None:
    (folder / file).write_text(content)
    groups = folder / "groups.tsv" if file == "groups.tsv" else None
    with pytest.raises(InputError, match=message):
        compare_runs([folder / "first.trec", folder / "second.trec"], folder / "qrels.txt", groups=groups)


def test_a_run_given_twice_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        compare_runs([folder / "first.trec"] * 2, folder / "qrels.txt")
