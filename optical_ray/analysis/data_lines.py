"""What was read, kept and dropped, in plain lines: the study's ``data`` report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def data_lines(report: Mapping[str, Any], leaks: str) -> Iterator[str]:
    """Bitext, leaks, collections; ``leaks`` is what the trial does with them, "drop" or "keep"."""
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


def leak_lines(found: Mapping[str, Any], leaks: str) -> Iterator[str]:
    """How many training pairs hold evaluation text, and what becomes of them."""
    if not found:
        return
    done = "dropped from training" if leaks == "drop" else "kept (data.leaks: keep)"
    if not found["leaks"]:
        yield f"leaks: none of {found['pairs']:,} pairs holds a text of {_named(found)}"
    yield from (f"leaks, {done}: {line}" for line in _found(found))
    for name, shared in found.get("teacher", {}).items():
        if shared["queries"] or shared["documents"]:
            yield (
                f"the teacher's pairs {name}: {shared['queries']:,} of {shared['pairs']:,} queries and "
                f"{shared['documents']:,} documents are evaluation texts (kept: all students have this teacher)"
            )
    later = found.get("later")
    if later:
        yield (
            f"leaks of {_named(later)}, added after the study was begun: {later['leaks']:,} of {later['pairs']:,} "
            "pairs; its students see them: make a new study to have them dropped"
        )
        yield from (f"leaks, seen by students: {line}" for line in _found(later))


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    for part in found["found"]:
        sets = ", ".join(f"{where} {count:,}" for where, count in part["sets"].items())
        yield f"{part['bitext']} {part['language']} {part['leaks']:,} of {part['pairs']:,} pairs ({sets})"


def _named(found: Mapping[str, Any]) -> str:
    return ", ".join(found["collections"]) or "no collection"
