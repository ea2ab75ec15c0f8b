"""The ``data`` block of ``study.json`` as lines of text: what was read, kept and dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def data_lines(report: Mapping[str, Any], leaks: str) -> Iterator[str]:
    """Yield lines on bitext, leaks and collections; ``leaks`` is the trial's treatment of leaks, "drop" or "keep"."""
    bitext = report.get("bitext", {})
    if bitext:
        sizes = ", ".join(f"{language} {sum(part['pairs'] for part in parts):,}" for language, parts in bitext.items())
        yield f"bitext pairs: {sizes}"
    for language, parts in bitext.items():
        for part in parts:
            counts = [f"{count} {reason}" for reason, count in part["dropped"].items() if count]
            if part["truncated"]:
                counts.append(f"{part['truncated']} sentences truncated")
            if counts:
                yield f"bitext {language}: {', '.join(counts)}"
    examples = report.get("relevance")
    if examples:
        dropped = "".join(f", {count} {reason}" for reason, count in examples.get("dropped", {}).items() if count)
        yield f"the teacher's training pairs: {examples['pairs']:,}{dropped}"
    yield from leak_lines(report.get("leaks", {}), leaks)
    for target, splits in report.get("collections", {}).items():
        parts = [f"{split} {m['topics']} topics / {m['documents']} documents" for split, m in splits.items()]
        drops = {reason: count for m in splits.values() for reason, count in m["dropped"].items() if count}
        cut = sum(sum(m["truncated"].values()) for m in splits.values())
        extra = "".join(f"; dropped {count} {reason}" for reason, count in drops.items())
        extra += f"; truncated {cut} texts" if cut else ""
        yield f"{target}: {', '.join(parts)}{extra}"


def leak_lines(report: Mapping[str, Any], leaks: str) -> Iterator[str]:
    """Yield lines on how many training pairs contain evaluation text, and what is done with them."""
    if not report:
        return
    treatment = "dropped from training" if leaks == "drop" else "kept (data.leaks: keep)"
    if not report["leaks"]:
        yield f"leaks: none of {report['pairs']:,} pairs holds a text of {_collections(report)}"
    yield from (f"leaks, {treatment}: {line}" for line in _pairs(report))
    for name, shared in report.get("teacher", {}).items():
        if shared["queries"] or shared["documents"]:
            yield (
                f"the teacher's pairs {name}: {shared['queries']:,} of {shared['pairs']:,} queries and "
                f"{shared['documents']:,} documents are evaluation texts (kept: all students have this teacher)"
            )
    later = report.get("later")
    if later:
        yield (
            f"leaks of {_collections(later)}, added after the study was begun: {later['leaks']:,} of "
            f"{later['pairs']:,} pairs; the students see them. Run a new study to drop them"
        )
        yield from (f"leaks, seen by students: {line}" for line in _pairs(later))


def _pairs(report: Mapping[str, Any]) -> Iterator[str]:
    for part in report["found"]:
        sets = ", ".join(f"{name} {count:,}" for name, count in part["sets"].items())
        yield f"{part['bitext']} {part['language']} {part['leaks']:,} of {part['pairs']:,} pairs ({sets})"


def _collections(report: Mapping[str, Any]) -> str:
    return ", ".join(report["collections"]) or "no collection"
