import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from optical_ray.data import shards
from optical_ray.data.interface import BITEXT_SCHEMA, BitextDataset, Counts, pair_batches
from optical_ray.data.shards import ShardReader, read_manifest, write_bitext_shard, write_shard
from optical_ray.types import InputError


class Numbered(BitextDataset):
    kind = "numbered"
    licence = "none"

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def languages(self) -> tuple[str, ...]:
        return ("sw",)

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        counts.drop("for a reason")
        yield from pair_batches(((str(i), f"pivot {i}", f"{language} {i}") for i in range(self.rows)), counts)

    def fingerprint(self) -> str:
        return f"{self.rows}"


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 100)


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    manifest = write_bitext_shard(Numbered(1234), "sw", tmp_path)
    assert manifest.rows == 1234
    reader = ShardReader(tmp_path)
    assert len(reader) == 1234
    rows = np.random.default_rng(0).integers(0, 1234, 500)
    taken = reader.take(rows)
    assert taken.schema == BITEXT_SCHEMA
    assert taken["id"].to_pylist() == [str(row) for row in rows]
    assert taken["foreign"].to_pylist() == [f"sw {row}" for row in rows]
    assert [row for batch in reader.batches() for row in batch["id"].to_pylist()] == [str(i) for i in range(1234)]
    assert reader.take(np.empty(0, np.int64)).num_rows == 0
    with pytest.raises(IndexError):
        reader.take(np.array([1234]))


def test_reading_continues_after_pages_were_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "RELEASE_AFTER", 1)
    write_bitext_shard(Numbered(1000), "sw", tmp_path)
    reader = ShardReader(tmp_path)
    held = reader.take(np.array([5, 999]))
    assert reader.take(np.array([7]))["id"].to_pylist() == ["7"]
    assert held["id"].to_pylist() == ["5", "999"]


def test_several_shards_are_read_as_one(tmp_path: Path) -> None:
    for name, size in (("a", 150), ("b", 250)):
        write_bitext_shard(Numbered(size), name, tmp_path / name)
    reader = ShardReader([tmp_path / "a", tmp_path / "b"])
    assert len(reader) == 400
    assert reader.take(np.array([399, 149, 150, 0]))["foreign"].to_pylist() == ["b 249", "a 149", "b 0", "a 0"]


def test_the_manifest_describes_the_shard(tmp_path: Path) -> None:
    written = write_bitext_shard(Numbered(7), "sw", tmp_path)
    assert read_manifest(tmp_path) == written
    assert written.dropped == {"for a reason": 1}
    assert (written.fingerprint, written.language, written.licence) == ("7", "sw", "none")
    assert written.schema == {"id": "string", "pivot": "string", "foreign": "string"}
    again = write_bitext_shard(Numbered(7), "sw", tmp_path / "again")
    assert again.digest == written.digest
    assert json.loads((tmp_path / "manifest.json").read_text())["rows"] == 7


def test_a_shard_without_a_manifest_is_incomplete(tmp_path: Path) -> None:
    def breaks() -> Iterator[pa.RecordBatch]:
        yield from Numbered(5).batches("sw", Counts())
        raise InputError("broken at line 6")

    with pytest.raises(InputError, match="line 6"):
        write_shard(tmp_path, BITEXT_SCHEMA, breaks())
    assert os.listdir(tmp_path) == []
    assert read_manifest(tmp_path) is None
    with pytest.raises(InputError, match="no complete shard"):
        ShardReader(tmp_path)


def test_a_language_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pair of language 'sw' is left \(1 for a reason\)"):
        write_bitext_shard(Numbered(0), "sw", tmp_path)
    assert read_manifest(tmp_path) is None


def test_shards_of_other_schemas_are_not_mixed(tmp_path: Path) -> None:
    write_bitext_shard(Numbered(5), "sw", tmp_path / "text")
    schema = pa.schema([("tokens", pa.list_(pa.int32()))])
    write_shard(tmp_path / "tokens", schema, [pa.record_batch([pa.array([[1, 2], []], schema[0].type)], schema=schema)])
    assert ShardReader(tmp_path / "tokens").take(np.array([1, 0]))["tokens"].to_pylist() == [[], [1, 2]]
    with pytest.raises(InputError, match="schemas differ"):
        ShardReader([tmp_path / "text", tmp_path / "tokens"])
