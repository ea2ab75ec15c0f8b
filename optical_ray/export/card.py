"""The model card of an exported student: use, tokenization, scores, data and the trial's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from optical_ray.export.interface import Format, Student
from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger, Scores, TrialRecord
from optical_ray.study.summary import supervised_targets

PIVOT = "en"


def model_card(ledger: Ledger, record: TrialRecord, exporter: Format, student: Student) -> str:
    """The card as Markdown with the YAML header of the Hugging Face hub."""
    info = ledger.info
    languages = sorted({PIVOT, *record.source_languages, *info.targets})
    header = {
        "language": languages,
        "library_name": exporter.library,
        "tags": ["ColBERT", "late-interaction", "cross-lingual-retrieval", "optical_ray"],
        "pipeline_tag": "sentence-similarity",
    }
    differences = exporter.differences(student)
    parts = [
        f"---\n{_yaml(header)}---",
        f"# {info.name}, trial {record.key}",
        f"A late-interaction retriever for {', '.join(info.targets)}, distilled from an English retriever on "
        f"sentence pairs of English and {', '.join(record.source_languages)}.",
        f"## Use\n\n```python\n{exporter.usage(student)}```",
        _tokenization(student),
        "## Differences of scores\n\n"
        + ("\n".join(f"- {text}" for text in differences) or "Scores are equal to those of optical_ray."),
        _scores(ledger, record),
        _data(info),
        f"## The trial\n\nSeed {record.seed}.\n\n```yaml\n{_yaml(dict(record.config))}```",
        "## Versions\n\n" + "\n".join(f"- {name} {version}" for name, version in info.versions.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _tokenization(student: Student) -> str:
    tokenizer, conventions = student.tokenizer, student.encoder.conventions
    markers = " and ".join(f"`{piece}` ({role})" for role, piece in tokenizer.marker_pieces.items()) or "none"
    rows = {
        "vectors": f"one unit vector of width {student.encoder.dim} per token; scores are MaxSim",
        "pieces": f"{tokenizer.size}; markers: {markers}",
        "lengths": f"queries {student.query_length}, documents {student.document_length} pieces with special pieces",
        "support": conventions.support,
        "punctuation in documents": "has no vectors" if conventions.skip_punctuation else "has vectors",
        "query expansion": "to full length with the mask piece" if conventions.query_expansion else "none",
    }
    return "## Tokenization\n\n" + "\n".join(f"- {name}: {value}" for name, value in rows.items())


def _scores(ledger: Ledger, record: TrialRecord) -> str:
    """One table per metric with the trial and the baselines on the test split."""
    rows: dict[str, Scores] = {"this student": ledger.scores(record.key), **ledger.baselines()}
    tables = []
    for metric in ledger.scores(record.key).get("test", {}):
        targets = list(rows["this student"]["test"][metric])
        lines = [f"| {metric} | {' | '.join(targets)} |", f"|---|{'---:|' * len(targets)}"]
        for name, scores in rows.items():
            means = scores.get("test", {}).get(metric, {})
            cells = [f"{means[target]:.4f}" if target in means else "-" for target in targets]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        tables.append("\n".join(lines))
    supervised = supervised_targets(ledger.info, record.source_languages)
    note = f"\n\nNot zero-shot: trained on sentence pairs of {', '.join(supervised)}." if supervised else ""
    return (
        "## Scores\n\nTest split, mean over topics (AP: mean average precision).\n\n" + "\n\n".join(tables) + note
        if tables
        else "## Scores\n\nNo scores were recorded."
    )


def _data(info: StudyInfo) -> str:
    lines = [f"- {name}: {licence}" for name, licence in info.licences.items()]
    digests = _yaml(info.digests)
    return "## Data\n\n" + "\n".join(lines) + f"\n\nDigests of the models and data:\n\n```yaml\n{digests}```"


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True))
