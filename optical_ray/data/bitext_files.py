"""Files of sentence pairs in the layouts of published corpora: Moses pairs, TSV, JSONL, Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.data.archives import UNREADABLE
from optical_ray.data.input_files import InputFile, files_by_key
from optical_ray.data.languages import BARE_CODE, CODE_PAIR, LANGUAGE_CODE, STATED_CODE
from optical_ray.data.messages import listed
from optical_ray.data.pair_filter import Pair
from optical_ray.data.text_files import read_lines, read_objects, text_of
from optical_ray.types import InputError

Layout = Literal["moses", "tsv", "jsonl", "parquet"]
SUFFIXES: dict[str, Layout] = {".tsv": "tsv", ".txt": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
UNKNOWN_LANGUAGE = (
    "the language is not known; give `language` or a language column, or name the file as in web.en-sw.tsv"
)
PAIR_KEYS = ("id", "score", "language", "pivot", "foreign")
ROW_KEYS = ("doc", "idx", "key", "pid", "ref", "set", "sid", "src", "tag", "tgt", "uid", "uri", "url")
"""Keys of records that look like a language's code but seldom are one; ``language`` selects them if they are."""
ABOUT_THE_CORPUS = re.compile(r"(readme|licen[cs]e|copying|copyright|notice|changelog)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Portion:
    """Files that are read together: one file, or those of one Moses pair (pivot, foreign and, if it exists, scores).

    ``language`` is ``None`` if each row states its own, or has several. ``columns`` are the texts' columns in the order
    that the file's name gives: ``x.de-en.tsv`` has the German text first. It is ``None`` if the name does not tell.
    """

    layout: Layout
    files: tuple[InputFile, ...]
    language: str | None
    columns: tuple[str, str] | None = None


class Row(NamedTuple):
    """A pair and the language of its foreign side ("" for an empty line in a file of several languages)."""

    language: str
    pair: Pair


def find_portions(files: Sequence[InputFile], layout: Layout | None, pivot: str, language: str | None) -> list[Portion]:
    """Sort ``files`` into portions; other files, such as README.txt and LICENSE.txt, are ignored.

    Moses files are recognised by their names, ``Corpus.en-sw.en`` next to ``Corpus.en-sw.sw`` (the pair in either
    order; an OPUS ``.scores`` next to them is read too), other files by their suffix. Their language is that of a pair
    in the name (``web.en-sw.tsv``), else ``language``, else that of a name that is a two-letter code (``sw.tsv``).
    Raises ``InputError`` for half a pair and for a side that exists twice.
    """
    portions: list[Portion] = []
    moses: dict[str, list[tuple[str, InputFile]]] = {}
    for file in files:
        stem, _, last = file.base.rpartition(".")
        pair = _pair_of(stem, pivot)
        if layout in (None, "moses") and pair is not None and last in (*pair, "scores"):
            moses.setdefault(f"{file.relative.rpartition('/')[0]}/{stem}", []).append((last, file))
            continue
        by_suffix = SUFFIXES.get(f".{last}")
        if last == "txt" and layout is None and ABOUT_THE_CORPUS.match(stem):
            continue
        if layout not in (None, "moses") or (by_suffix is not None and layout is None):
            portions.append(_portion(file, layout or by_suffix or "tsv", pivot, language))
    return portions + [_moses_portion(stem, pivot, sides) for stem, sides in sorted(moses.items())]


def _portion(file: InputFile, layout: Layout, pivot: str, language: str | None) -> Portion:
    stem = file.base.rpartition(".")[0]
    pair = _pair_of(stem, pivot)
    if pair is not None:
        order = ("pivot", "foreign") if pair[0] == pivot else ("foreign", "pivot")
        return Portion(layout, (file,), pair[1] if pair[0] == pivot else pair[0], order)
    last = stem.rpartition(".")[2]
    if language is None and BARE_CODE.fullmatch(last) and last != pivot:
        language = last
    unclear = any(CODE_PAIR.fullmatch(part) for part in file.base.split("."))
    return Portion(layout, (file,), language, None if unclear else ("pivot", "foreign"))


def _moses_portion(stem: str, pivot: str, sides: list[tuple[str, InputFile]]) -> Portion:
    by_side = files_by_key(sides)
    pair = _pair_of(stem, pivot)
    assert pair is not None
    foreign = pair[1] if pair[0] == pivot else pair[0]
    for side, opposite in ((pivot, foreign), (foreign, pivot)):
        if side not in by_side:
            present = sides[0][1].name
            missing = f"{stem.rpartition('/')[2]}.{side}"
            raise InputError(f"{present}: no {missing} next to it; a pair needs {side} and {opposite}")
    files = tuple(by_side[side] for side in (pivot, foreign, "scores") if side in by_side)
    return Portion("moses", files, foreign)


def _pair_of(stem: str, pivot: str) -> tuple[str, str] | None:
    """The two codes of a name that ends in a pair with ``pivot``, in the name's order; else ``None``."""
    last = stem.rpartition("/")[2].rpartition(".")[2]
    if last.startswith(f"{pivot}-") and LANGUAGE_CODE.fullmatch(other := last.removeprefix(f"{pivot}-")):
        return pivot, other
    if last.endswith(f"-{pivot}") and LANGUAGE_CODE.fullmatch(other := last.removesuffix(f"-{pivot}")):
        return other, pivot
    return None


def read_portion(portion: Portion, pivot: str, columns: tuple[str, ...] | None) -> Iterator[Row]:
    """Yield the rows of ``portion`` in their order; raises ``InputError`` with file and line for a malformed one.

    ``columns`` names the columns of a TSV file (``pivot``, ``foreign``, ``language``, ``score``, ``id``, ``-`` for one
    to ignore). Without it the first two columns are the texts, in the order of the pair in the file's name, else pivot
    and foreign; the third is a score if it is a number in the first line, else the language; the fourth is the score.
    JSONL and Parquet name theirs: ``pivot``/``foreign`` (and ``language``), or one text for each language code, also
    inside ``translation``; other keys, such as ``url``, are ignored.
    """
    if portion.layout == "moses":
        return _read_moses(portion)
    if portion.layout == "tsv":
        return _read_tsv(portion, pivot, columns)
    rows = read_objects if portion.layout == "jsonl" else _read_parquet
    return (row for number, record in rows(portion.files[0]) for row in _rows_of(record, portion, number, pivot))


def _read_moses(portion: Portion) -> Iterator[Row]:
    language = portion.language or ""
    readers = [iter(()) if _is_empty(file) else read_lines(file) for file in portion.files]
    counted = 0
    for counted, lines in enumerate(zip_longest(*readers), start=1):
        if None in lines:
            ends = [
                counted - (line is None) + sum(1 for _ in reader) for line, reader in zip(lines, readers, strict=True)
            ]
            sizes = ", ".join(f"{file.name} has {end} lines" for file, end in zip(portion.files, ends, strict=True))
            raise InputError(f"{portion.files[0].name}:{counted}: the sides do not match: {sizes}; they must be equal")
        score = _score(lines[2][1], f"{portion.files[2].name}:{counted}") if len(lines) > 2 else None
        yield Row(language, Pair(lines[0][1], lines[1][1], None, score))
    if not counted:
        raise InputError(
            f"{portion.files[0].name}: the file is empty, and so are the others of the pair; fetch them again"
        )


def _is_empty(file: InputFile) -> bool:
    """Whether the file has no content; one that cannot be read counts as not empty, and its reader raises the error."""
    try:
        with file.open() as stream:
            return not stream.read(1)
    except UNREADABLE:
        return False


def _read_tsv(portion: Portion, pivot: str, columns: tuple[str, ...] | None) -> Iterator[Row]:
    file = portion.files[0]
    position: dict[str, int] = {}
    for number, line in read_lines(file):
        if not line or line.isspace():
            yield Row(portion.language or "", Pair("", ""))
            continue
        cells = line.split("\t")
        if columns is None:
            columns = _columns_of(cells, portion, pivot, f"{file.name}:{number}")
        if not position:
            position = {name: index for index, name in enumerate(columns)}
        if len(cells) != len(columns):
            expected = f"{len(columns)} ({', '.join(columns)})"
            raise InputError(f"{file.name}:{number}: got {len(cells)} columns, expected {expected}")
        where = f"{file.name}:{number}"
        language = _code(cells[position["language"]], where) if "language" in position else portion.language
        if not language:
            raise InputError(f"{where}: {UNKNOWN_LANGUAGE}")
        pair_id = cells[position["id"]] if "id" in position else None
        score = _score(cells[position["score"]], where) if "score" in position else None
        yield Row(language, Pair(cells[position["pivot"]], cells[position["foreign"]], pair_id, score))


def _columns_of(cells: list[str], portion: Portion, pivot: str, where: str) -> tuple[str, ...]:
    if not 2 <= len(cells) <= 4:
        raise InputError(
            f"{where}: got {len(cells)} columns, expected 2 to 4 (pivot, foreign, language, score). Name them in "
            "`columns`"
        )
    if pivot in cells[:2] and all(STATED_CODE.fullmatch(cell) for cell in cells[:2]):
        raise InputError(
            f"{where}: the first line is a header of language codes ({cells[0]}, {cells[1]}). Remove it and name the "
            "columns in `columns`, or use kind: parallel_table"
        )
    if portion.columns is None:
        raise InputError(
            f"{where}: the file's name spells a pair of languages without the pivot's code, so that the order of the "
            "two texts is not known. Name it in `columns`, e.g. [foreign, pivot]"
        )
    if len(cells) == 3 and _is_number(cells[2]):
        return *portion.columns, "score"
    return (*portion.columns, "language", "score")[: len(cells)]


def _code(value: Any, where: str) -> str:
    """``value`` if it is a language's code; anything else shows that the columns have another meaning."""
    if not (isinstance(value, str) and STATED_CODE.fullmatch(value)):
        raise InputError(
            f"{where}: language must be a code such as sw or zh-TW, got {str(value)[:40]!r}. Correct the line, or name "
            "the columns in `columns`"
        )
    return value


def _read_parquet(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with file.open() as stream:
            for batch in pq.ParquetFile(stream).iter_batches():
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except InputError:
        raise
    except (pa.ArrowException, *UNREADABLE) as error:
        raise InputError(
            f"{file.name}:{number + 1}: not a Parquet file that can be read ({str(error)[:200]})"
        ) from error


def _rows_of(record: dict[str, Any], portion: Portion, number: int, pivot: str) -> Iterator[Row]:
    where = f"{portion.files[0].name}:{number}"
    texts = record.get("translation", record)
    if not isinstance(texts, dict):
        raise InputError(f"{where}: translation must be an object of language and text, got {type(texts).__name__}")
    if "pivot" in texts and "foreign" in texts:
        stated = record.get("language")
        language = portion.language if stated is None else _code(stated, where)
        yield _row(record, texts["pivot"], texts["foreign"], language, where)
        return
    reserved = {pivot, *(PAIR_KEYS if texts is record else ())}  # inside `translation`, "id" is Indonesian
    others = [key for key in texts if key not in reserved and LANGUAGE_CODE.fullmatch(key)]
    if portion.language is not None:
        others = [key for key in others if key == portion.language]
    elif texts is record:
        others = [key for key in others if key not in ROW_KEYS and isinstance(texts[key], str | None)]
    if pivot not in texts or not others:
        raise InputError(
            f"{where}: expected pivot and foreign, or {pivot!r} and another language; got {listed(sorted(texts))}"
        )
    for language in others:
        yield _row(record, texts[pivot], texts[language], language, where)


def _row(record: dict[str, Any], pivot: Any, foreign: Any, language: str | None, where: str) -> Row:
    if not language:
        raise InputError(f"{where}: {UNKNOWN_LANGUAGE}")
    pair_id = text_of(record["id"], where, "id") if record.get("id") is not None else None
    score = _score(record["score"], where) if record.get("score") is not None else None
    first, second = ("" if side is None else side for side in (pivot, foreign))
    pair = Pair(text_of(first, where, "pivot"), text_of(second, where, "foreign"), pair_id, score)
    return Row(language, pair)


def _score(value: Any, where: str) -> float:
    if isinstance(value, bool) or not _is_number(value):
        raise InputError(f"{where}: the score must be a number, got {str(value)[:40]!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    try:
        return float(value) == float(value)
    except (TypeError, ValueError, OverflowError):
        return False
