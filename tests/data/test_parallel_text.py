import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.datasets.parallel_text import ParallelText
from optical_ray.data.interface import Counts
from optical_ray.data.pair_filter import PairFilter
from optical_ray.types import InputError

EN = ["set an alarm now", "what is this thing", "hello there my friend"]
SW = ["weka kengele sasa hivi", "hiki ni kitu gani", "habari rafiki yangu mpendwa"]
DE = ["stelle jetzt einen Wecker", "was ist dieses Ding", "hallo mein lieber Freund"]


def read(dataset: ParallelText, language: str = "sw") -> tuple[list[tuple[str, str]], dict[str, int]]:
    counts = Counts()
    rows = [row for batch in dataset.batches(language, counts) for row in batch.to_pylist()]
    assert len(rows) == counts.kept
    return [(row["pivot"], row["foreign"]) for row in rows], counts.dropped


def ids(dataset: ParallelText, language: str) -> list[str]:
    return [row["id"] for batch in dataset.batches(language, Counts()) for row in batch.to_pylist()]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def moses(tmp_path: Path) -> Path:
    write(tmp_path / "Web.en-sw.en", EN)
    write(tmp_path / "Web.en-sw.sw", SW)
    write(tmp_path / "deep" / "News.de-en.en.gz", EN)
    write(tmp_path / "deep" / "News.de-en.de", DE)
    write(tmp_path / "deep" / "News.de-fr.de", DE)
    write(tmp_path / "README", ["about"])
    return tmp_path


PAIRS = list(zip(EN, SW, strict=True))


def test_moses_pairs_are_recognised_by_their_names(moses: Path) -> None:
    dataset = ParallelText(root=str(moses))
    assert dataset.languages() == ("de", "sw")
    assert read(dataset) == (PAIRS, {})
    assert read(dataset, "de")[0] == list(zip(EN, DE, strict=True))
    assert ids(dataset, "de") == ids(dataset, "sw"), "the same sentence has the same id"
    assert ParallelText(root=str(moses), pivot="sw").languages() == ("en",)


def test_unbalanced_sides_are_refused_with_both_counts(moses: Path) -> None:
    write(moses / "Web.en-sw.sw", [*SW, "moja", "mbili"])
    with pytest.raises(InputError, match=r"Web.en-sw.en:4: .*en has 3 lines, .*sw has 5 lines; they must be equal"):
        read(ParallelText(root=str(moses)))


def test_an_empty_side_is_refused_with_both_counts(moses: Path) -> None:
    (moses / "Web.en-sw.sw").write_bytes(b"")
    with pytest.raises(InputError, match=r"Web.en-sw.en:1: .*en has 3 lines, .*sw has 0 lines; they must be equal"):
        read(ParallelText(root=str(moses)))
    (moses / "Web.en-sw.en").write_bytes(b"")
    with pytest.raises(InputError, match=r"Web.en-sw.en: the file is empty, and so are"):
        read(ParallelText(root=str(moses)))


def test_readme_and_licence_files_are_ignored(moses: Path) -> None:
    for name in ("README.txt", "LICENSE.txt", "deep/license-en.txt", "Readme.TXT.txt"):
        write(moses / name, ["This corpus is free.", "See the source."])
    dataset = ParallelText(root=str(moses))
    assert dataset.languages() == ("de", "sw")
    assert read(dataset) == (PAIRS, {})
    with zipfile.ZipFile(moses / "opus.zip", "w") as archive:
        for name, lines in (("C.en-sw.en", EN), ("C.en-sw.sw", SW), ("LICENSE.txt", ["see"]), ("README.txt", ["x"])):
            archive.writestr(name, "\n".join(lines))
    assert read(ParallelText(path=str(moses / "opus.zip"))) == (PAIRS, {})
    assert read(tsv(moses, f"{EN[0]}\t{SW[0]}", name="licences.txt", language="sw")) == (PAIRS[:1], {})


@pytest.mark.parametrize("code", ["es_419", "zh_CN", "zh-Hant-TW", "pt_br", "sr_Latn"])
def test_regions_and_scripts_are_part_of_a_language(tmp_path: Path, code: str) -> None:
    for pair in (f"en-{code}", f"{code}-en"):
        write(tmp_path / pair / f"OpenSubtitles.{pair}.en", EN)
        write(tmp_path / pair / f"OpenSubtitles.{pair}.{code}", SW)
        dataset = ParallelText(root=str(tmp_path / pair))
        assert dataset.languages() == (code,)
        assert read(dataset, code) == (PAIRS, {})
    write(tmp_path / "x.jsonl", [json.dumps({"en": EN[0], code: SW[0]})])
    assert ParallelText(path=str(tmp_path / "x.jsonl")).languages() == (code,)


def test_half_a_pair_is_refused(moses: Path) -> None:
    (moses / "Web.en-sw.sw").unlink()
    with pytest.raises(InputError, match=r"no Web.en-sw.sw next to it; a pair needs sw and en"):
        ParallelText(root=str(moses)).languages()


def test_opus_zips_with_scores(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "en-sw.txt.zip", "w") as archive:
        for name, lines in (("en", EN), ("sw", SW), ("scores", ["1.1", "0.3", "1.0"]), ("xml", ["<x/>"])):
            archive.writestr(f"CCMatrix.en-sw.{name}", "\n".join(lines))
        archive.writestr("LICENSE", "see the source")
    place = str(tmp_path / "en-sw.txt.zip")
    assert read(ParallelText(path=place)) == (PAIRS, {})
    assert read(ParallelText(path=place, filter=PairFilter(min_score=0.9))) == ([PAIRS[0], PAIRS[2]], {"score": 1})


def tsv(tmp_path: Path, *rows: str, name: str = "web.tsv", **options: Any) -> ParallelText:
    write(tmp_path / name, list(rows))
    return ParallelText(path=str(tmp_path / name), **options)


def test_tsv_of_two_to_four_columns(tmp_path: Path) -> None:
    two = [f"{pivot}\t{foreign}" for pivot, foreign in PAIRS]
    assert read(tsv(tmp_path, *two, language="sw")) == (PAIRS, {})
    assert read(tsv(tmp_path, *two, name="web.en-sw.tsv")) == (PAIRS, {})
    assert read(tsv(tmp_path, *two, name="sw.tsv.gz")) == (PAIRS, {})
    scores = PairFilter(min_score=0.1)
    assert (
        read(tsv(tmp_path, *(f"{row}\t0.{i}" for i, row in enumerate(two)), name="sw.tsv", filter=scores))[0]
        == PAIRS[1:]
    )
    several = tsv(tmp_path, f"{two[0]}\tsw\t0.9", f"{EN[0]}\t{DE[0]}\tde\t0.8", f"{two[1]}\tsw\t0.1")
    assert several.languages() == ("de", "sw")
    assert read(several)[0] == PAIRS[:2]
    named = tsv(tmp_path, f"7\t{SW[0]}\t{EN[0]}\tx", columns=("id", "foreign", "pivot", "-"), language="sw")
    assert read(named)[0] == PAIRS[:1]
    assert ids(named, "sw") == ["7"]


def test_empty_lines_are_counted(tmp_path: Path) -> None:
    assert read(tsv(tmp_path, "", f"{EN[0]}\t{SW[0]}", " \t ", name="sw.tsv")) == (PAIRS[:1], {"empty": 2})


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (["one"], {"language": "sw"}, r"web.tsv:1: got 1 columns, expected 2 to 4"),
        (
            [f"{EN[0]}\t{SW[0]}", "a\tb\tc"],
            {"language": "sw"},
            r"web.tsv:2: got 3 columns, expected 2 \(pivot, foreign\)",
        ),
        ([f"{EN[0]}\t{SW[0]}"], {}, r"web.tsv:1: the language is not known"),
        ([f"{EN[0]}\t{SW[0]}\tsw\tmany"], {}, "web.tsv:1: the score must be a number, got 'many'"),
        (
            [f"{EN[0]}\t{SW[0]}\tsw"],
            {"columns": ("pivot", "foreign", "score"), "language": "sw"},
            "web.tsv:1: the score must be a number",
        ),
    ],
)
def test_malformed_rows_are_refused(tmp_path: Path, rows: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tsv(tmp_path, *rows, **options))


@pytest.mark.parametrize("layout", ["jsonl", "parquet"])
def test_json_and_parquet_records(tmp_path: Path, layout: str) -> None:
    records = [
        {"translation": {"en": EN[0], "sw": SW[0], "id": "halo teman baik saya"}},
        {"translation": {"en": EN[1], "sw": SW[1], "id": None}},
    ]
    path = tmp_path / f"x.{layout}"
    if layout == "jsonl":
        write(path, [json.dumps(record) for record in records])
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
    dataset = ParallelText(path=str(path))
    assert dataset.languages() == ("id", "sw")
    assert read(dataset) == (PAIRS[:2], {})
    assert read(dataset, "id")[1] == {"empty": 1}
    assert ParallelText(path=str(path), language="sw").languages() == ("sw",)


def test_flat_records(tmp_path: Path) -> None:
    flat = [{"en": EN[0], "sw": SW[0], "id": 5}, {"pivot": EN[1], "foreign": SW[1], "language": "sw", "score": 0.5}]
    write(tmp_path / "x.jsonl", [json.dumps(record) for record in flat])
    dataset = ParallelText(path=str(tmp_path / "x.jsonl"))
    assert read(dataset)[0] == PAIRS[:2]
    assert ids(dataset, "sw")[0] == "5"
    about = {"url": "https://x", "src": "web", "doc": "7", "num": 1.5, "ok": True, "tags": ["a"], "de": None}
    write(tmp_path / "x.jsonl", [json.dumps({"en": EN[0], "sw": SW[0], **about})])
    assert dataset.languages() == ("de", "sw")
    assert read(dataset)[0] == PAIRS[:1]
    assert read(dataset, "de")[1] == {"empty": 1}
    assert ParallelText(path=str(tmp_path / "x.jsonl"), language="src").languages() == ("src",)
    write(tmp_path / "x.jsonl", ['{"fr": "bonjour"}'])
    with pytest.raises(InputError, match=r"x.jsonl:1: expected pivot and foreign, or 'en' and another language"):
        read(dataset)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"x.parquet:1: not a Parquet file"):
        read(ParallelText(path=str(tmp_path / "x.parquet")))


def test_the_fingerprint_depends_on_the_content(moses: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = ParallelText(root=str(moses)).fingerprint()
    other = tmp_path_factory.mktemp("elsewhere")
    for path in moses.rglob("*.*"):
        (other / path.relative_to(moses)).parent.mkdir(exist_ok=True)
        (other / path.relative_to(moses)).write_bytes(path.read_bytes())
    assert ParallelText(root=str(other)).fingerprint() == first
    assert ParallelText(root=str(moses), filter=PairFilter(min_length=2)).fingerprint() != first
    write(other / "Web.en-sw.sw", [*SW[:2], "habari rafiki yangu mwema"])
    assert ParallelText(root=str(other)).fingerprint() != first


def test_missing_languages_and_files_are_named(moses: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pairs in language 'fr' \(has: de, sw\)"):
        read(ParallelText(root=str(moses)), "fr")
    with pytest.raises(InputError, match="no such file or folder"):
        ParallelText(root=str(tmp_path / "nowhere")).languages()
    with pytest.raises(InputError, match=r"no bitext found \(has: .*; expected Moses pairs such as Corpus.yo-sw.yo"):
        ParallelText(root=str(moses), pivot="yo").languages()
    for options in ({}, {"root": "a", "path": "b"}):
        with pytest.raises(InputError, match="give one of root and path"):
            ParallelText(**options)
    with pytest.raises(InputError, match="columns: need pivot and foreign"):
        ParallelText(root="a", columns=("pivot", "text"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.lists(st.text(st.sampled_from('ab \t\r"{}:,[]0.5\u2028ensw'), max_size=30), max_size=6),
    st.sampled_from(["x.tsv", "sw.tsv", "x.jsonl", "C.en-sw.en"]),
)
def test_any_text_gives_pairs_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, lines: list[str], name: str
) -> None:
    write(tmp_path / name, lines)
    if name == "C.en-sw.en":
        write(tmp_path / "C.en-sw.sw", lines[::-1])
    dataset = ParallelText(root=str(tmp_path))
    with only_input_errors(str(tmp_path)):
        for language in dataset.languages():
            read(dataset, language)
    for path in tmp_path.iterdir():
        path.unlink()
