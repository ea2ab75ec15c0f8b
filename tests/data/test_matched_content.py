from pathlib import Path

import numpy as np
import pytest

from optical_ray.data.interface import BITEXT_SCHEMA, Counts, pair_batches
from optical_ray.data.mixture import Mixture, MixtureConfig, matched_places
from optical_ray.data.shards import ShardReader, write_shard
from optical_ray.types import InputError


def reader(folder: Path, language: str, ids: list[int]) -> ShardReader:
    pairs = ((str(i), f"sentence {i}", f"{language} {i}") for i in ids)
    write_shard(folder / language, BITEXT_SCHEMA, pair_batches(pairs, Counts()))
    return ShardReader(folder / language)


def matched_rows(readers: dict[str, ShardReader]) -> dict[str, np.ndarray]:
    ids = {language: reader.take(np.arange(len(reader)))["id"].to_pylist() for language, reader in readers.items()}
    return matched_places({language: np.array([int(i) for i in column]) for language, column in ids.items()})


def test_rows_have_the_same_sentence_in_every_language(tmp_path: Path) -> None:
    ids = {"de": list(range(0, 60, 2)), "hi": list(range(60, -1, -3)), "sw": [6, 6, 12, 0, 18, 24, 7]}
    readers = {language: reader(tmp_path, language, some) for language, some in ids.items()}
    rows = matched_rows(readers)
    named = {language: readers[language].take(found)["id"].to_pylist() for language, found in rows.items()}
    assert named == {language: ["0", "6", "12", "18", "24"] for language in ids}
    assert rows["sw"].tolist() == [3, 0, 2, 4, 5]


def test_a_mixture_over_matched_rows_has_the_same_content(tmp_path: Path) -> None:
    readers = {"de": reader(tmp_path, "de", list(range(50))), "hi": reader(tmp_path, "hi", list(range(80, 10, -1)))}
    rows = matched_rows(readers)
    config = MixtureConfig(pairs=20, content="matched", batch_size=5)
    mixed = Mixture({k: len(found) for k, found in rows.items()}, config, subsample_seed=0, order_seed=0)
    content = {
        language: readers[language].take(rows[language][mixed.chosen_rows(language)])["pivot"].to_pylist()
        for language in readers
    }
    assert content["de"] == content["hi"]
    assert len(set(content["de"])) == 10


def test_languages_without_a_shared_sentence_are_refused(tmp_path: Path) -> None:
    readers = {"de": reader(tmp_path, "de", [1, 2]), "hi": reader(tmp_path, "hi", [3])}
    with pytest.raises(InputError, match=r"de, hi share no sentence \(pairs: de 2, hi 1\)"):
        matched_rows(readers)
    assert np.array_equal(matched_rows({"de": readers["de"]})["de"], [0, 1])
