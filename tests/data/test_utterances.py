import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.datasets.massive import MassiveBitext, MassiveCollection
from optical_ray.data.datasets.mtop import MtopBitext, MtopCollection, MtopRelevance
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

SLOTS = ("", "0:1:SL:TIME")
INTENTS = ("IN:CREATE_ALARM", "IN:GET_WEATHER", "IN:PLAY_MUSIC")


def mtop_line(identity: int, language: str, text: str, slots: str = "") -> str:
    return "\t".join([f"{identity:04}", INTENTS[identity % 3], slots, text, "alarm", f"{language}_XX", "[IN:X ]", "{}"])


def write_mtop(root: Path, languages: dict[str, int], partitions: tuple[str, ...] = ("train", "eval", "test")) -> Path:
    """``languages``: language -> number of utterances in each partition; texts differ between partitions."""
    for language, size in languages.items():
        (root / language).mkdir(parents=True, exist_ok=True)
        for partition in partitions:
            first = 900 if partition == "eval" else 0
            lines = [
                mtop_line(first + i, language, f"{language} {partition} says {i}", SLOTS[i % 2]) for i in range(size)
            ]
            (root / language / f"{partition}.txt").write_text("\n".join(lines) + "\n")
    return root


def ids(dataset: Any, language: str, counts: Counts | None = None) -> list[str]:
    return [row["id"] for batch in dataset.batches(language, counts or Counts()) for row in batch.to_pylist()]


def test_pairs_share_ids_which_remain_text(tmp_path: Path) -> None:
    dataset = MtopBitext(root=str(write_mtop(tmp_path, {"en": 50, "hi": 40, "th": 30})))
    assert dataset.languages() == ("en", "hi", "th")
    counts = Counts()
    assert ids(dataset, "hi", counts) == [f"{i:04}" for i in range(40)]
    assert counts.dropped == {"utterances of the pivot without a translation": 10}
    row = next(dataset.batches("th", Counts())).to_pylist()[7]
    assert row == {"id": "0007", "pivot": "en train says 7", "foreign": "th train says 7"}
    assert len(ids(MtopBitext(root=str(tmp_path), pivot="th"), "hi")) == 30
    matched = MtopBitext(root=str(tmp_path), parallel_languages=("th", "hi"))
    assert ids(matched, "en") == ids(matched, "hi") == ids(matched, "th")


def test_smaller_limits_are_part_of_larger(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 50, "hi": 50, "th": 50})
    limited = {n: set(ids(MtopBitext(root=str(tmp_path), limits={"th": n}), "th")) for n in (1, 5, 20, 50)}
    assert [len(found) for found in limited.values()] == [1, 5, 20, 50]
    assert limited[1] < limited[5] < limited[20] < limited[50]
    none = MtopBitext(root=str(tmp_path), limits={"th": 0})
    assert none.languages() == ("en", "hi")
    with pytest.raises(InputError, match=r"'th' has no pairs \(has: en, hi\)"):
        ids(none, "th")
    with pytest.raises(InputError, match="limits: must be >= 0"):
        MtopBitext(root="x", limits={"th": -1})


def test_tasks(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 12, "hi": 12})

    def grades(task: Any) -> dict[str, int]:
        return dict(MtopCollection(root=str(tmp_path), language="hi", task=task).load("test").qrels.grades["0001"])

    assert grades("parallel") == {"0001": 1}
    assert grades("intent") == dict.fromkeys(("0001", "0004", "0007", "0010"), 1)
    assert grades("frame") == dict.fromkeys(("0001", "0007"), 1)
    assert grades("graded") == {"0001": 3, "0004": 1, "0007": 2, "0010": 1}
    collection = MtopCollection(root=str(tmp_path), language="en", document_language="hi")
    assert collection.load("test").documents[0].text == "hi test says 0"
    assert collection.intents("test")["0001"] == "IN:GET_WEATHER"


def test_a_translation_has_grade_3_whatever_its_annotation(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 12, "hi": 12})
    path = tmp_path / "en" / "test.txt"
    lines = path.read_text().splitlines()
    lines[1] = mtop_line(1, "en", "en test says 1")  # no slot, where the topic has one
    lines[2] = mtop_line(2, "en", "en test says 2").replace(INTENTS[2], INTENTS[0])
    path.write_text("\n".join(lines) + "\n")
    grades = MtopCollection(root=str(tmp_path), language="hi", task="graded").load("test").qrels.grades
    assert grades["0001"] == {"0001": 3, "0004": 1, "0007": 2, "0010": 1}
    assert grades["0002"] == {"0002": 3, "0005": 1, "0008": 2, "0011": 1}
    assert all(judged[topic_id] == 3 for topic_id, judged in grades.items())
    frames = MtopCollection(root=str(tmp_path), language="hi", task="frame").load("test").qrels.grades
    assert frames["0001"] == {"0007": 1}


def test_an_empty_id_is_refused(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 9, "hi": 9})
    for language in ("en", "hi"):
        with open(tmp_path / language / "test.txt", "a") as stream:
            stream.write(mtop_line(10, language, f"{language} one more").replace("0010", "", 1) + "\n")
    with pytest.raises(InputError, match=r": hi, partition test: utterance id '' is empty"):
        MtopCollection(root=str(tmp_path), language="hi").load("test")


def test_pools_and_the_parallel_utterance(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 60, "hi": 40})
    options = {"root": str(tmp_path), "language": "hi"}
    assert len(MtopCollection(**options).load("test").documents) == 40
    assert len(MtopCollection(**options, pool="full").load("test").documents) == 60
    apart = MtopCollection(**options, exclude_parallel=True).load("test")
    topics, documents = {t.topic_id for t in apart.topics}, {d.doc_id for d in apart.documents}
    assert not topics & documents
    assert len(topics) + len(documents) == 40
    with pytest.raises(InputError, match="task parallel would have no relevant document"):
        MtopCollection(**options, exclude_parallel=True, task="parallel")


def test_repeated_texts_are_dropped(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 9, "hi": 9})
    with open(tmp_path / "hi" / "eval.txt", "a") as stream:
        for identity, text in ((20, "HI test  says 3"), (21, "hi eval says 3"), (5, "hi with an id of test")):
            stream.write(mtop_line(identity, "hi", text) + "\n")
    dataset = MtopCollection(root=str(tmp_path), language="hi")
    assert dataset.load("eval").dropped == {"topics that repeat a text": 1, "topics of eval that test has too": 2}
    assert dataset.load("test").dropped == {}


def test_a_missing_partition_is_named_and_one_partition_can_serve_both_splits(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 90, "hi": 90}, ("train", "eval"))
    with pytest.raises(InputError, match=r"hi has no partition 'test' \(has: eval, train\); name another one"):
        MtopCollection(root=str(tmp_path), language="hi").load("test")
    divided = MtopCollection(root=str(tmp_path), language="hi", test_partition="eval")
    parts = [{topic.topic_id for topic in divided.load(split).topics} for split in ("eval", "test")]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 90
    assert len(parts[0]) < len(parts[1])


def test_the_zip_equals_the_folder(tmp_path: Path) -> None:
    write_mtop(tmp_path / "mtop", {"en": 5, "hi": 5})
    with zipfile.ZipFile(tmp_path / "mtop.zip", "w") as archive:
        for path in sorted((tmp_path / "mtop").rglob("*.txt")):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("mtop/README.md", "about")
    zipped, folder = (MtopBitext(root=str(tmp_path / name)) for name in ("mtop.zip", "mtop"))
    assert list(zipped.batches("hi", Counts())) == list(folder.batches("hi", Counts()))
    assert zipped.fingerprint() == folder.fingerprint()


def test_relevance_pairs_share_an_intent(tmp_path: Path) -> None:
    write_mtop(tmp_path, {"en": 10})
    pairs = list(MtopRelevance(root=str(tmp_path)).pairs(Counts()))
    assert len(pairs) == 10
    for pair in pairs:
        query, document = (int(text.rsplit(" ", 1)[1]) for text in (pair.query, pair.document))
        assert query % 3 == document % 3
        assert query != document


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one\ttwo", r"hi/test.txt:10: got 2 columns, expected 8 \(id, intent"),
        (mtop_line(3, "hi", "again"), r"hi/test.txt:10: id '0003' occurs a second time"),
    ],
)
def test_bad_mtop_lines(tmp_path: Path, line: str, message: str) -> None:
    write_mtop(tmp_path, {"en": 9, "hi": 9})
    with open(tmp_path / "hi" / "test.txt", "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=message):
        MtopCollection(root=str(tmp_path), language="hi").load("test")
    with pytest.raises(InputError, match=r"'xx' is not in the data \(has: en, hi\)"):
        MtopCollection(root=str(tmp_path), language="xx").load("test")
    with pytest.raises(InputError, match="no MTOP here"):
        MtopBitext(root=str(tmp_path / "en")).languages()


def test_every_translation_of_the_collected_mtop_has_grade_3(collected: Path) -> None:
    root = str(collected / "mtop_parallel")
    dataset = MtopCollection(root=root, language="th", task="graded", test_partition="eval")
    grades = dataset.load("test").qrels.grades
    assert {judged[topic_id] for topic_id, judged in grades.items() if topic_id in judged} == {3}


def test_collected_mtop_is_read_completely(collected: Path) -> None:
    root = str(collected / "mtop_parallel")
    bitext = MtopBitext(root=root)
    assert bitext.languages() == ("de", "en", "es", "fr", "hi", "th")
    for language in bitext.languages():
        lines = (collected / "mtop_parallel" / language / "train.txt").read_text(encoding="utf-8").splitlines()
        assert ids(bitext, language) == [line.split("\t")[0] for line in lines]
        assert len(lines) == 578
    for language in ("hi", "th"):
        dataset = MtopCollection(root=root, language=language, test_partition="eval")
        splits = [dataset.load(split) for split in ("eval", "test")]
        assert [(len(s.topics), len(s.documents), s.dropped) for s in splits] == [(75, 281, {}), (206, 281, {})]


def massive_record(identity: int, locale: str, **changes: Any) -> dict[str, Any]:
    partition = ("train", "dev", "test")[identity // 10]
    text = f"{locale} says {identity}"
    slots = f"{text} [time : nine] [date: today]" if identity % 2 else text
    record = {"id": str(identity), "locale": locale, "partition": partition, "scenario": "alarm"}
    return {**record, "intent": f"intent_{identity % 3}", "utt": text, "annot_utt": slots, **changes}


def write_massive(root: Path, *locales: str) -> Path:
    for locale in locales:
        lines = [json.dumps(massive_record(i, locale)) for i in range(30)]
        (root / f"{locale}.jsonl").write_text("\n".join(lines) + "\n")
    return root


def test_massive_locales(tmp_path: Path) -> None:
    write_massive(tmp_path, "en-US", "sw-KE", "zh-CN", "zh-TW")
    bitext = MassiveBitext(root=str(tmp_path))
    assert bitext.languages() == ("en", "sw", "zh-CN", "zh-TW")
    assert ids(bitext, "sw") == [str(i) for i in range(10)]
    collection = MassiveCollection(root=str(tmp_path), language="sw", task="graded").load("eval")
    assert collection.qrels.grades["11"] == {"11": 3, "14": 1, "17": 2}
    assert len(collection.topics) == 10
    with pytest.raises(InputError, match=r"'am' is not in the data \(has: en, sw, zh-CN, zh-TW\)"):
        MassiveCollection(root=str(tmp_path), language="am").load("eval")


def test_the_massive_archive_equals_the_folder(tmp_path: Path) -> None:
    write_massive(tmp_path, "en-US", "sw-KE")
    with tarfile.open(tmp_path / "massive.tar.gz", "w:gz") as archive:
        for locale in ("en-US", "sw-KE"):
            content = (tmp_path / f"{locale}.jsonl").read_bytes()
            for name, data in ((f"1.1/data/{locale}.jsonl", content), (f"1.1/data/._{locale}.jsonl", b"\0")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    packed = MassiveBitext(root=str(tmp_path / "massive.tar.gz"))
    (tmp_path / "massive.tar.gz").rename(tmp_path / "1.1.tar.gz")
    packed = MassiveBitext(root=str(tmp_path / "1.1.tar.gz"))
    assert ids(packed, "sw") == [str(i) for i in range(10)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partition": "valid"}, "partition must be one of dev, test, train, got 'valid'"),
        ({"id": 3}, "id '3' occurs a second time"),
        ({"utt": None}, "utt must be a text, got NoneType"),
    ],
)
def test_bad_massive_lines(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_massive(tmp_path, "en-US", "sw-KE")
    with open(tmp_path / "sw-KE.jsonl", "a") as stream:
        stream.write(json.dumps(massive_record(3, "sw-KE", **changes)) + "\n")
    with pytest.raises(InputError, match=rf"sw-KE.jsonl:31: {message}"):
        ids(MassiveBitext(root=str(tmp_path)), "sw")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(st.sampled_from("01:,SL x\r"), max_size=6), max_size=9), max_size=5))
def test_any_columns_give_utterances_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, rows: list[list[str]]
) -> None:
    for language in ("en", "hi"):
        (tmp_path / language).mkdir(exist_ok=True)
        for partition in ("train", "eval", "test"):
            content = "".join("\t".join(row) + "\n" for row in rows)
            (tmp_path / language / f"{partition}.txt").write_bytes(content.encode())
    with only_input_errors(str(tmp_path), "no topic of split"):
        ids(MtopBitext(root=str(tmp_path)), "hi")
        MtopCollection(root=str(tmp_path), language="hi").load("test")
