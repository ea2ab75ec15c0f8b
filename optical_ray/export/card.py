"""The model card: what the student is, what it was trained on, how it scores, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from optical_ray.export.interface import Format, Student
from optical_ray.study.records import Ledger, Scores, TrialRecord

PIVOT = "en"


def model_card(ledger: Ledger, record: TrialRecord, exporter: Format, student: Student) -> str:
    """The card as Markdown with the hub's YAML header: languages, digests, scores, differences, the trial's spec."""
    study = ledger.study
    languages = sorted({PIVOT, *record.source_languages, *study["targets"]})
    header = {
        "language": languages,
        "library_name": {"pylate": "PyLate", "hf": "sentence-transformers"}.get(exporter.kind, exporter.kind),
        "tags": ["ColBERT", "late-interaction", "cross-lingual-retrieval", "optical_ray"],
        "pipeline_tag": "sentence-similarity",
    }
    differences = exporter.differences(student)
    parts = [
        f"---\n{_yaml(header)}---",
        f"# {study['name']}, trial {record.key}",
        f"A late-interaction retriever for {', '.join(study['targets'])}, distilled from an English one on sentence "
        f"pairs of English and {', '.join(record.source_languages)}.",
        f"## Use\n\n```python\n{exporter.usage(student)}```",
        _reading(student),
        "## Scores there and here\n\n"
        + ("\n".join(f"- {text}" for text in differences) or "Every score is equal to this program's."),
        _scores(ledger, record),
        _data(study),
        f"## The trial\n\nSeed {record.seed}.\n\n```yaml\n{_yaml(dict(record.config))}```",
        "## Versions\n\n" + "\n".join(f"- {name} {version}" for name, version in study.get("versions", {}).items()),
    ]
    return "\n\n".join(parts) + "\n"


def _reading(student: Student) -> str:
    tokenizer, conventions = student.tokenizer, student.encoder.conventions
    markers = " and ".join(f"`{piece}` ({role})" for role, piece in tokenizer.marker_pieces.items()) or "none"
    rows = {
        "vectors": f"{student.encoder.dim} numbers a token, of length one; a score is the MaxSim of their cosines",
        "pieces": f"{tokenizer.size}; markers: {markers}",
        "lengths": f"queries {student.query_length}, documents {student.document_length} pieces, specials included",
        "support": conventions.support,
        "punctuation in documents": "gives no vector" if conventions.skip_punctuation else "counts",
        "query expansion": "to full length with the mask piece" if conventions.query_expansion else "none",
    }
    return "## How it reads\n\n" + "\n".join(f"- {name}: {value}" for name, value in rows.items())


def _scores(ledger: Ledger, record: TrialRecord) -> str:
    """A table for every metric: the trial and the baselines on the test split."""
    rows: dict[str, Scores] = {"this student": ledger.scores(record.key), **ledger.baselines()}
    tables = []
    for metric in ledger.scores(record.key).get("test", {}):
        targets = list(rows["this student"]["test"][metric])
        lines = [f"| {metric} | {' | '.join(targets)} |", f"|---|{'---:|' * len(targets)}"]
        for name, scores in rows.items():
            found = scores.get("test", {}).get(metric, {})
            cells = [f"{found[target]:.4f}" if target in found else "-" for target in targets]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        tables.append("\n".join(lines))
    supervised = sorted(set(record.source_languages) & set(ledger.study["targets"]))
    note = f"\n\nTrained on pairs of {', '.join(supervised)} themselves: no transfer there." if supervised else ""
    return (
        "## Scores\n\nTest split, mean over topics (AP: mean average precision).\n\n" + "\n\n".join(tables) + note
        if tables
        else "## Scores\n\nNone were recorded."
    )


def _data(study: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {licence}" for name, licence in study.get("licences", {}).items()]
    digests = _yaml(dict(study.get("digests", {})))
    return (
        "## Data\n\n" + "\n".join(lines) + f"\n\nDigests of what it was made of and scored on:\n\n```yaml\n{digests}```"
    )


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True))
