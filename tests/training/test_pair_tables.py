"""Rows that training leaves out, and sentences that languages share, in the tables that batches are cut from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.data.mixture import Mixture, MixtureConfig
from optical_ray.data.ragged import RaggedWriter
from optical_ray.training.batches import Control, PairStream
from optical_ray.training.bitext_tokens import BitextTokens, matched
from optical_ray.types import InputError


def write(folder: Path, ids: list[int], left_out: list[int]) -> tuple[Path, Path]:
    """A folder of pairs whose foreign side is ``[id, id]`` and pivot ``[id]``, and one that lists rows to leave out."""
    tokens, leaks = folder / "tokens", folder / "leaks"
    tokens.mkdir(parents=True)
    leaks.mkdir()
    for name, length in (("foreign", 2), ("pivot", 1), ("teacher", 1)):
        with RaggedWriter(tokens, name, np.int32) as writer:
            writer.append([[identity] * length for identity in ids])
    for name in ("pivot_hash", "id_hash"):
        np.save(tokens / f"{name}.npy", np.array(ids, dtype=np.uint64))
    np.save(leaks / "rows.npy", np.array(left_out, dtype=np.int64))
    return tokens, leaks


def content(table: BitextTokens) -> list[int]:
    return [int(table.ids("foreign", place)[0]) for place in range(len(table))]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=3))
def test_left_out_rows_are_stepped_over(tmp_path_factory: pytest.TempPathFactory, left_out: list[set[int]]) -> None:
    root = tmp_path_factory.mktemp("tables")
    parts = [write(root / str(i), list(range(100 * i, 100 * i + 10)), sorted(out)) for i, out in enumerate(left_out)]
    table = BitextTokens([tokens for tokens, _ in parts], [leaks for _, leaks in parts])
    assert content(table) == [100 * i + row for i, out in enumerate(left_out) for row in range(10) if row not in out]
    assert len(table.lengths()) == len(table)
    assert (table.lengths()[np.arange(len(table))] == 2).all()


def test_languages_are_matched_by_id_without_what_one_of_them_leaves_out(tmp_path: Path) -> None:
    de = write(tmp_path / "de", [1, 2, 3, 4, 5], [1])
    hi = write(tmp_path / "hi", [5, 4, 3, 2, 9], [0])
    tables = {name: BitextTokens([tokens], [leaks]) for name, (tokens, leaks) in (("de", de), ("hi", hi))}
    assert {name: content(table) for name, table in matched(tables).items()} == {"de": [3, 4], "hi": [3, 4]}


def test_languages_with_the_same_ids_stay_as_they_are(tmp_path: Path) -> None:
    tables = {name: BitextTokens([write(tmp_path / name, [3, 1, 2], [])[0]]) for name in ("de", "hi")}
    found = matched(tables)
    assert all(found[name] is table for name, table in tables.items())


def test_the_same_id_in_two_datasets_is_no_match(tmp_path: Path) -> None:
    parts = {name: [write(tmp_path / name / part, [1, 2], [])[0] for part in "ab"] for name in ("de", "hi")}
    crossed = matched({"de": BitextTokens(parts["de"]), "hi": BitextTokens(parts["hi"])})
    assert len(crossed["de"]) == 4
    with pytest.raises(InputError, match="share no sentence"):
        matched({"de": crossed["de"], "hi": BitextTokens([write(tmp_path / "x", [7], [])[0]])})


@pytest.mark.parametrize("control", [None, "en", "shuffled"])
def test_controls_change_the_foreign_side_alone(tmp_path: Path, control: Control | None) -> None:
    table = BitextTokens([write(tmp_path, list(range(1, 41)), [3])[0]])
    mixture = Mixture({"sw": len(table)}, MixtureConfig(batch_size=40, window=1), subsample_seed=0, order_seed=0)
    batch = PairStream(mixture, {"sw": table}, None, 0, 0, control).batch(0, 0, 1)
    pivot, foreign = batch.pivot[:, 0], batch.foreign
    assert sorted(pivot.tolist()) == list(range(1, 41))
    assert foreign.shape[1] == (1 if control == "en" else 2)  # the pivot has one piece, a translation two
    if control == "shuffled":
        assert sorted(foreign[:, 0].tolist()) == sorted(pivot.tolist())
        assert (foreign[:, 0] == pivot).sum() < 5
    else:
        assert (foreign[:, 0] == pivot).all()
