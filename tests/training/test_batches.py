"""Batches from disk: padding, the workers' parts, and the teacher's vectors found by their text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ray.data.mixture import Mixture, MixtureConfig
from optical_ray.data.ragged import RaggedWriter
from optical_ray.ranking import padded
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.batches import PairBatch, PairStream, pad_ids
from optical_ray.training.bitext_tokens import BitextTokens
from optical_ray.training.teacher_embeddings import TeacherEmbeddings

PAD, TEACHER_PAD, DIM = 1, 0, 3
SIZES = {"de": 20, "hi": 13}


def write_language(folder: Path, start: int, count: int) -> Path:
    """Pairs ``start`` and on: the foreign side is ``n`` repeated 1 to 4 times, the pivot ``n + 1000``."""
    folder.mkdir(parents=True)
    numbers = range(start, start + count)
    sides = {
        "foreign": [[n] * (1 + n % 4) for n in numbers],
        "pivot": [[n + 1000] * (1 + n % 3) for n in numbers],
        "teacher": [[n + 2000] * (1 + n % 2) for n in numbers],
    }
    for name, rows in sides.items():
        with RaggedWriter(folder, name, np.int32) as writer:
            writer.append(rows)
        np.save(folder / f"{name}_rows.npy", np.bincount([row[0] for row in rows], minlength=3000))
    np.save(folder / "pivot_hash.npy", np.array([n * 7919 for n in numbers], dtype=np.uint64))
    np.save(folder / "id_hash.npy", np.array(numbers, dtype=np.uint64))
    return folder


def write_embeddings(folder: Path, numbers: list[int]) -> Path:
    """Vectors for the pivots of ``numbers``: 1 + n % 2 tokens that all say n, of length n / 2."""
    folder.mkdir()
    np.save(folder / "hashes.npy", np.array([n * 7919 for n in numbers], dtype=np.uint64))
    with RaggedWriter(folder, "vectors", np.float16, (DIM,)) as writer:
        writer.append([np.full((1 + n % 2, DIM), n, dtype=np.float16) for n in numbers])
    with RaggedWriter(folder, "norms", np.float32) as writer:
        writer.append([np.full(1 + n % 2, n / 2, dtype=np.float32) for n in numbers])
    with RaggedWriter(folder, "pieces", np.int32) as writer:
        writer.append([[n + 2000] * (1 + n % 2) for n in numbers])
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, BitextTokens]:
    """Two languages; the first lies in two folders."""
    return {
        "de": BitextTokens([write_language(tmp_path / "a", 100, 8), write_language(tmp_path / "b", 108, 12)]),
        "hi": BitextTokens([write_language(tmp_path / "c", 300, 13)]),
    }


def stream(tables: dict[str, BitextTokens], embeddings: TeacherEmbeddings | None = None) -> PairStream:
    config = MixtureConfig(batch_size=8, window=2)
    mixture = Mixture(SIZES, config, subsample_seed=0, order_seed=5)
    return PairStream(mixture, tables, embeddings, PAD, TEACHER_PAD)


def pairs_of(batch: PairBatch) -> list[tuple[int, int]]:
    """(foreign, pivot) numbers of a batch, whose rows must hold nothing but their own number and padding."""
    assert isinstance(batch.teacher, torch.Tensor)
    found = []
    for foreign, pivot, teacher in zip(
        batch.foreign.tolist(), batch.pivot.tolist(), batch.teacher.tolist(), strict=True
    ):
        number = foreign[0]
        assert foreign == [number] * (1 + number % 4) + [PAD] * (len(foreign) - 1 - number % 4)
        assert teacher == [number + 2000] * (1 + number % 2) + [TEACHER_PAD] * (len(teacher) - 1 - number % 2)
        found.append((number, pivot[0]))
    return found


def test_rows_are_padded_behind() -> None:
    rows = [np.array([5, 6, 7]), np.array([8]), np.array([], dtype=np.int64)]
    assert pad_ids(rows, 9).tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]


def test_clouds_are_stacked_with_their_masks() -> None:
    cloud = padded([np.ones((2, DIM), dtype=np.float16), 2 * np.ones((1, DIM), dtype=np.float16)])
    assert cloud.vectors.dtype == torch.float32
    assert cloud.vectors[..., 0].tolist() == [[1, 1], [2, 0]]
    assert cloud.mask.tolist() == [[True, True], [True, False]]


def test_a_language_may_lie_in_several_folders(tables: dict[str, BitextTokens]) -> None:
    table = tables["de"]
    assert len(table) == 20
    numbers = range(100, 120)
    assert [table.ids("foreign", row)[0] for row in range(20)] == list(numbers)
    assert [int(table.pivot_hash(row)) for row in range(20)] == [n * 7919 for n in numbers]
    assert table.lengths()[np.arange(20)].tolist() == [max(1 + n % 4, 1 + n % 3) for n in numbers]


def test_every_row_of_a_batch_is_one_pair(tables: dict[str, BitextTokens]) -> None:
    for step in range(4):
        pairs = pairs_of(stream(tables).batch(step, 0, 1))
        assert len(pairs) == 8
        assert all(pivot == foreign + 1000 for foreign, pivot in pairs)


@pytest.mark.parametrize("num_workers", [2, 4])
def test_the_workers_parts_make_up_the_batch(tables: dict[str, BitextTokens], num_workers: int) -> None:
    whole = [pairs_of(stream(tables).batch(step, 0, 1)) for step in range(5)]
    for step in range(5):
        parts = [pairs_of(stream(tables).batch(step, rank, num_workers)) for rank in range(num_workers)]
        assert [len(part) for part in parts] == [8 // num_workers] * num_workers
        assert sorted(pair for part in parts for pair in part) == sorted(whole[step])


def test_a_batch_does_not_depend_on_those_before_it(tables: dict[str, BitextTokens]) -> None:
    forward, backward = stream(tables), stream(tables)
    there = [pairs_of(forward.batch(step, 0, 1)) for step in range(6)]
    back = [pairs_of(backward.batch(step, 0, 1)) for step in reversed(range(6))]
    assert there == back[::-1]
    assert there[0] != there[1]


def test_an_epoch_reads_every_pair_once(tables: dict[str, BitextTokens]) -> None:
    batches = stream(tables)
    seen = [pair for step in range(2 * 33) for pair in pairs_of(batches.batch(step, 0, 1))]
    counts = {number: seen.count((number, number + 1000)) for number in [*range(100, 120), *range(300, 313)]}
    assert set(counts.values()) == {16}


def test_the_teachers_vectors_are_those_of_the_pivot(tables: dict[str, BitextTokens], tmp_path: Path) -> None:
    numbers = sorted([*range(100, 120), *range(300, 313)])
    embeddings = TeacherEmbeddings(write_embeddings(tmp_path / "embeddings", numbers))
    batch = stream(tables, embeddings).batch(0, 0, 1)
    assert not isinstance(batch.teacher, torch.Tensor)
    for foreign, vectors, mask in zip(batch.foreign, batch.teacher.vectors, batch.teacher.mask, strict=True):
        number = int(foreign[0])
        assert mask.sum() == 1 + number % 2
        assert (vectors[mask] == number).all()


def test_norms_and_idf_stand_where_their_pieces_do(tables: dict[str, BitextTokens], tmp_path: Path) -> None:
    numbers = sorted([*range(100, 120), *range(300, 313)])
    embeddings = TeacherEmbeddings(write_embeddings(tmp_path / "embeddings", numbers))
    cached = replace(stream(tables, embeddings), with_idf=True).batch(0, 0, 1)
    asked = replace(stream(tables), with_idf=True).batch(0, 0, 1)
    assert isinstance(cached.teacher, TokenEmbeddings)
    assert cached.idf is not None
    assert asked.idf is not None
    rare = {True: np.log((1 + 20) / 2), False: np.log((1 + 13) / 2)}  # every piece is in one row of its language
    expected = torch.tensor([rare[int(row[0]) < 300] for row in cached.foreign]).float()[:, None]
    sides = {"foreign": cached.foreign != PAD, "pivot": cached.pivot != PAD, "teacher": cached.teacher.mask}
    for name, real in sides.items():
        for batch in (cached, asked):
            torch.testing.assert_close(getattr(batch.idf, name), expected * real)
    halves = cached.foreign[:, :1] / 2
    torch.testing.assert_close(cached.teacher.norms, halves * cached.teacher.mask)
    assert stream(tables).batch(0, 0, 1).idf is None


def test_frequencies_are_those_of_all_files_of_a_language(tmp_path: Path) -> None:
    folders = [write_language(tmp_path / name, 100, count) for name, count in (("a", 3), ("b", 5))]
    idf = BitextTokens(folders).idf("foreign")
    assert idf[100] == pytest.approx(np.log(9 / 3))
    assert idf[104] == pytest.approx(np.log(9 / 2))
    assert idf[999] == pytest.approx(np.log(9))


@pytest.mark.parametrize("lacking", [100, 109, 312])
def test_a_text_that_was_never_embedded_is_said(tables: dict[str, BitextTokens], tmp_path: Path, lacking: int) -> None:
    numbers = [n for n in [*range(100, 120), *range(300, 313)] if n != lacking]
    embeddings = TeacherEmbeddings(write_embeddings(tmp_path / "embeddings", numbers))
    assert len(embeddings.token_embeddings([np.uint64(numbers[0] * 7919)] * 2).vectors) == 2
    with pytest.raises(KeyError, match="optical-ray prepare"):
        embeddings.token_embeddings([np.uint64(numbers[3] * 7919), np.uint64(lacking * 7919)])
