"""Files of sentence pairs in the layouts that corpora come in: Moses pairs, TSV, JSONL, Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.data.input_files import UNREADABLE, InputFile
from optical_ray.data.pair_filter import Pair
from optical_ray.data.text_files import read_lines, read_objects, text_of
from optical_ray.types import InputError

Layout = Literal["moses", "tsv", "jsonl", "parquet"]
SUFFIXES: dict[str, Layout] = {".tsv": "tsv", ".txt": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
SUBTAGS = r"([_-]([A-Za-z]{2,4}|[0-9]{3})){0,2}"  # zh_CN, es_419, sr-Latn, zh-Hant-TW
LANGUAGE_CODE = re.compile(f"[A-Za-z]{{2,3}}{SUBTAGS}")
SHORT_CODE = re.compile(f"[a-z]{{2}}{SUBTAGS}")  # a bare name of three letters may be any word: web.tsv
WHICH_LANGUAGE = "which language is this? Give `language`, a language column, or name the file like web.en-sw.tsv"
ABOUT_THE_PAIR = ("id", "score", "language", "pivot", "foreign")
ABOUT_THE_ROW = ("doc", "idx", "key", "pid", "ref", "set", "sid", "src", "tag", "tgt", "uid", "uri", "url")
"""Keys of records that look like a language's code but seldom are; name it by ``language`` where it is one."""
ABOUT_THE_CORPUS = re.compile(r"(readme|licen[cs]e|copying|copyright|notice|changelog)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Portion:
    """What is read together: one file, or the files of one Moses pair (pivot, foreign and, where there is one, scores).

    ``language`` is ``None`` where each row says its own, or has several.
    """

    layout: Layout
    files: tuple[InputFile, ...]
    language: str | None


class Row(NamedTuple):
    """A pair and the language of its foreign side ("" for an empty line in a file of several languages)."""

    language: str
    pair: Pair


def find_portions(files: Sequence[InputFile], layout: Layout | None, pivot: str, language: str | None) -> list[Portion]:
    """Sort ``files`` into portions; other files are passed over, such as a README.txt or LICENSE.txt.

    Moses files are known by their names, ``Corpus.en-sw.en`` beside ``Corpus.en-sw.sw`` (the pair in either order; an
    OPUS ``.scores`` beside them is read too); others by their suffix, and their language from ``language``, from a pair
    in the name (``web.en-sw.tsv``) or from a name that is a two-letter code (``sw.tsv``).
    Raises ``InputError`` for half a pair.
    """
    portions: list[Portion] = []
    moses: dict[str, dict[str, InputFile]] = {}
    for file in files:
        stem, _, last = file.base.rpartition(".")
        if layout in (None, "moses") and _other_language(stem, pivot) is not None:
            folder = file.relative.rpartition("/")[0]
            other = _other_language(stem, pivot)
            if last in (pivot, other, "scores"):
                moses.setdefault(f"{folder}/{stem}", {})[last] = file
                continue
        by_suffix = SUFFIXES.get(f".{last}")
        if last == "txt" and layout is None and ABOUT_THE_CORPUS.match(stem):
            continue
        if layout not in (None, "moses") or (by_suffix is not None and layout is None):
            portions.append(Portion(layout or by_suffix or "tsv", (file,), language or _named_language(stem, pivot)))
    for stem, sides in sorted(moses.items()):
        other = _other_language(stem, pivot) or ""
        for side, opposite in ((pivot, other), (other, pivot)):
            if side not in sides:
                present = next(iter(sides.values())).name
                missing = f"{stem.rpartition('/')[2]}.{side}"
                raise InputError(f"{present}: no {missing} beside it; a pair needs {side} and {opposite}")
        portions.append(Portion("moses", tuple(sides[k] for k in (pivot, other, "scores") if k in sides), other))
    return portions


def read_portion(portion: Portion, pivot: str, columns: tuple[str, ...] | None) -> Iterator[Row]:
    """Yield the rows of ``portion`` in their order; raises ``InputError`` with file and line for a malformed one.

    ``columns`` names the columns of a TSV file (``pivot``, ``foreign``, ``language``, ``score``, ``id``, ``-`` for one
    to pass over). Without it two columns are pivot and foreign; the third is a score where it is a number in the
    first line, else the language; the fourth is the score. JSONL and Parquet name theirs: ``pivot``/``foreign``
    (and ``language``), or one text for each language code, also inside ``translation``; beside the texts, keys such
    as ``url`` and those without a text are passed over.
    """
    if portion.layout == "moses":
        return _read_moses(portion)
    if portion.layout == "tsv":
        return _read_tsv(portion, columns)
    rows = read_objects if portion.layout == "jsonl" else _read_parquet
    return (row for number, record in rows(portion.files[0]) for row in _rows_of(record, portion, number, pivot))


def _other_language(stem: str, pivot: str) -> str | None:
    pair = stem.rpartition("/")[2].rpartition(".")[2]
    other = pair.removeprefix(f"{pivot}-") if pair.startswith(f"{pivot}-") else pair.removesuffix(f"-{pivot}")
    return other if other != pair and LANGUAGE_CODE.fullmatch(other) else None


def _named_language(stem: str, pivot: str) -> str | None:
    last = stem.rpartition(".")[2]
    return _other_language(stem, pivot) or (last if SHORT_CODE.fullmatch(last) and last != pivot else None)


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
        raise InputError(f"{portion.files[0].name}: the file is empty, and so are those beside it; fetch them again")


def _is_empty(file: InputFile) -> bool:
    """Whether it has no line at all; one that cannot be read has, its reader says what is wrong."""
    try:
        with file.open() as stream:
            return not stream.read(1)
    except UNREADABLE:
        return False


def _read_tsv(portion: Portion, columns: tuple[str, ...] | None) -> Iterator[Row]:
    file = portion.files[0]
    place: dict[str, int] = {}
    for number, line in read_lines(file):
        if not line or line.isspace():
            yield Row(portion.language or "", Pair("", ""))
            continue
        cells = line.split("\t")
        if columns is None:
            columns = _columns_of(cells, f"{file.name}:{number}")
        if not place:
            place = {name: index for index, name in enumerate(columns)}
        if len(cells) != len(columns):
            expected = f"{len(columns)} ({', '.join(columns)})"
            raise InputError(f"{file.name}:{number}: got {len(cells)} columns, expected {expected}")
        language = cells[place["language"]] if "language" in place else portion.language
        if not language:
            raise InputError(f"{file.name}:{number}: {WHICH_LANGUAGE}")
        pair_id = cells[place["id"]] if "id" in place else None
        score = _score(cells[place["score"]], f"{file.name}:{number}") if "score" in place else None
        yield Row(language, Pair(cells[place["pivot"]], cells[place["foreign"]], pair_id, score))


def _columns_of(cells: list[str], where: str) -> tuple[str, ...]:
    if not 2 <= len(cells) <= 4:
        raise InputError(f"{where}: got {len(cells)} columns, expected 2 to 4 (pivot, foreign, language, score)")
    if len(cells) == 3 and _is_number(cells[2]):
        return "pivot", "foreign", "score"
    return ("pivot", "foreign", "language", "score")[: len(cells)]


def _read_parquet(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        for batch in pq.ParquetFile(file.open()).iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except InputError:
        raise
    except (pa.ArrowException, *UNREADABLE) as error:
        raise InputError(f"{file.name}:{number + 1}: not a Parquet file that can be read ({error})") from error


def _rows_of(record: dict[str, Any], portion: Portion, number: int, pivot: str) -> Iterator[Row]:
    where = f"{portion.files[0].name}:{number}"
    texts = record.get("translation", record)
    if not isinstance(texts, dict):
        raise InputError(f"{where}: translation must be an object of language and text, got {type(texts).__name__}")
    if "pivot" in texts and "foreign" in texts:
        yield _row(record, texts["pivot"], texts["foreign"], portion, where)
        return
    reserved = {pivot, *(ABOUT_THE_PAIR if texts is record else ())}  # inside `translation`, "id" is Indonesian
    others = [key for key in texts if key not in reserved and LANGUAGE_CODE.fullmatch(key)]
    if portion.language is not None:
        others = [key for key in others if key == portion.language]
    elif texts is record:
        others = [key for key in others if key not in ABOUT_THE_ROW and isinstance(texts[key], str | None)]
    if pivot not in texts or not others:
        raise InputError(f"{where}: expected pivot and foreign, or {pivot!r} and another language; got {sorted(texts)}")
    for language in others:
        yield _row({**record, "language": language}, texts[pivot], texts[language], portion, where)


def _row(record: dict[str, Any], pivot: Any, foreign: Any, portion: Portion, where: str) -> Row:
    language = record.get("language", portion.language)
    if not language:
        raise InputError(f"{where}: {WHICH_LANGUAGE}")
    pair_id = text_of(record["id"], where, "id") if record.get("id") is not None else None
    score = _score(record["score"], where) if record.get("score") is not None else None
    first, second = ("" if side is None else side for side in (pivot, foreign))
    pair = Pair(text_of(first, where, "pivot"), text_of(second, where, "foreign"), pair_id, score)
    return Row(text_of(language, where, "language"), pair)


def _score(value: Any, where: str) -> float:
    if isinstance(value, bool) or not _is_number(value):
        raise InputError(f"{where}: the score must be a number, got {value!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    try:
        return float(value) == float(value)
    except (TypeError, ValueError, OverflowError):
        return False
