"""The sentence pairs of each training step, as a pure function of seeds and step.

Any worker computes the pairs of step 50,000 as directly as those of step 0, whatever the number of workers. Every
language has a budget of pairs (the first of a seeded order, so that a smaller budget is part of a larger one), which
is traversed epoch by epoch without replacement, each epoch in a new order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from optical_ray.data.messages import listed
from optical_ray.data.permutation import mix_seed, permute
from optical_ray.registry import Configurable
from optical_ray.types import InputError

Rows = npt.NDArray[np.int64]
Lengths = Callable[[str, Rows], npt.NDArray[Any]] | Mapping[str, npt.NDArray[Any]]
WEIGHT_SCALE = 1 << 30
SUBSAMPLE, EPOCH, SHUFFLE, BATCH_ORDER = range(4)


@dataclass(frozen=True, kw_only=True)
class MixtureConfig(Configurable):
    """Budgets and sampling.

    ``pairs`` is the number for all languages together, in equal shares (``fixed_total``), or for each
    (``per_language``); ``None`` uses all pairs. More than a language has is refused unless ``repeat``.
    ``content: matched`` uses the same rows of every language (which must be multi-parallel: equal row counts),
    ``independent`` draws rows for each language separately. A language is drawn in proportion to
    (its number of pairs)^(1 / ``temperature``). ``window`` batches at a time are sorted by length, cut into batches and
    put in random order.
    """

    pairs: int | None = None
    budget: Literal["fixed_total", "per_language"] = "fixed_total"
    content: Literal["matched", "independent"] = "independent"
    temperature: float = 1.0
    repeat: bool = False
    batch_size: int = 64
    window: int = 32

    def __post_init__(self) -> None:
        for name in ("pairs", "batch_size", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: must be >= 1, got {value}")
        if self.budget not in ("fixed_total", "per_language"):
            raise InputError(f"budget: must be fixed_total or per_language, got {self.budget!r}")
        if self.content not in ("matched", "independent"):
            raise InputError(f"content: must be matched or independent, got {self.content!r}")
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature: must be > 0 and finite, got {self.temperature}")


class MixedBatch(NamedTuple):
    """One batch: for each of its pairs, the index of the language and the row among that language's pairs."""

    language: Rows
    row: Rows

    def of_rank(self, rank: int, world_size: int) -> MixedBatch:
        """Return the share of worker ``rank`` of ``world_size``: every ``world_size``-th pair, to balance lengths."""
        assert 0 <= rank < world_size, (rank, world_size)
        return MixedBatch(self.language[rank::world_size], self.row[rank::world_size])


class Mixture:
    """The batches of several languages, ``sizes`` pairs each.

    ``subsample_seed`` chooses the pairs of the budget, ``order_seed`` their order. ``lengths`` gives the length of rows
    (in any unit), as a function of language and rows or as one array per language; without it batches are not sorted
    by length. Raises ``InputError`` for a budget larger than the data.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        config: MixtureConfig,
        *,
        subsample_seed: int,
        order_seed: int,
        lengths: Lengths | None = None,
    ) -> None:
        self.config = config
        self.languages = tuple(sizes)
        self.amounts = budget_amounts(sizes, config)
        self._sizes = dict(sizes)
        self._lengths = lengths
        self._order_seed = order_seed
        matched = config.content == "matched"
        self._subsample_seeds = {
            language: mix_seed(subsample_seed, SUBSAMPLE, 0 if matched else _language_number(language))
            for language in sizes
        }
        self._cumulative = _cumulative_weights(self.amounts, config.temperature)
        self._cached: tuple[int, Rows, Rows] | None = None

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which as many pairs are drawn as the budget has (at a temperature of 1, each once)."""
        return sum(self.amounts.values()) / self.config.batch_size

    def batch(self, step: int) -> MixedBatch:
        """Return the batch of ``step`` (from 0); computes its window unless the last call was in the same one."""
        window, position = divmod(step, self.config.window)
        if self._cached is None or self._cached[0] != window:
            self._cached = (window, *self._window(window))
        _, language, row = self._cached
        part = slice(position * self.config.batch_size, (position + 1) * self.config.batch_size)
        return MixedBatch(language[part], row[part])

    def draws(self, num_pairs: int) -> dict[str, int]:
        """Return how many of the first ``num_pairs`` pairs (at window bounds) each language has, in closed form."""
        counts: dict[str, int] = {}
        remaining = num_pairs
        for index in range(len(self.languages) - 1, -1, -1):
            before = remaining * self._cumulative[index] // self._cumulative[index + 1]
            counts[self.languages[index]] = remaining - before
            remaining = before
        return {language: counts[language] for language in self.languages}

    def chosen_rows(self, language: str) -> Rows:
        """Return the rows of the budget of ``language`` in the order of the subsample, as one array."""
        return self._row_numbers(language, np.arange(self.amounts[language], dtype=np.int64))

    def _window(self, window: int) -> tuple[Rows, Rows]:
        size, count = self.config.batch_size, self.config.window
        first, last = self.draws(window * count * size), self.draws((window + 1) * count * size)
        drawn = [self._drawn(language, first[language], last[language]) for language in self.languages]
        row = np.concatenate(drawn)
        language = np.repeat(np.arange(len(drawn), dtype=np.int64), [len(rows) for rows in drawn])
        shuffled = permute(np.arange(len(row)), len(row), mix_seed(self._order_seed, SHUFFLE, window))
        if self._lengths is not None:
            lengths = np.concatenate([self._row_lengths(*pair) for pair in zip(self.languages, drawn, strict=True)])
            shuffled = shuffled[np.argsort(lengths[shuffled], kind="stable")]
            batches = permute(np.arange(count), count, mix_seed(self._order_seed, BATCH_ORDER, window))
            shuffled = shuffled.reshape(count, size)[batches].reshape(-1)
        return language[shuffled], row[shuffled]

    def _drawn(self, language: str, first: int, last: int) -> Rows:
        """The rows of draws ``first`` to ``last`` of a language: whole and partial epochs in sequence."""
        amount = self.amounts[language]
        epochs = []
        for epoch in range(first // amount, -(-last // amount)):
            seed = mix_seed(self._order_seed, EPOCH, _language_number(language), epoch)
            begin, end = max(first, epoch * amount), min(last, (epoch + 1) * amount)
            epochs.append(permute(np.arange(begin, end) - epoch * amount, amount, seed))
        chosen = np.concatenate(epochs) if epochs else np.empty(0, np.int64)
        return self._row_numbers(language, chosen)

    def _row_numbers(self, language: str, chosen: Rows) -> Rows:
        size = self._sizes[language]
        return permute(chosen % size, size, self._subsample_seeds[language])

    def _row_lengths(self, language: str, rows: Rows) -> npt.NDArray[Any]:
        assert self._lengths is not None
        return self._lengths[language][rows] if isinstance(self._lengths, Mapping) else self._lengths(language, rows)


def budget_amounts(sizes: Mapping[str, int], config: MixtureConfig) -> dict[str, int]:
    """Return the number of pairs of each language in the budget.

    Raises ``InputError`` if a language has no pairs, a share would be empty, a share is larger than its language
    (unless ``repeat``), or content is matched and row counts differ.
    """
    if not sizes:
        raise InputError("source_languages: the set is empty; name at least one language")
    if without := [language for language, size in sizes.items() if size < 1]:
        raise InputError(f"source_languages: no pairs are left in {listed(without)}; leave out the language")
    if config.content == "matched" and len(set(sizes.values())) > 1:
        given = listed(f"{language} {size}" for language, size in sizes.items())
        raise InputError(f"content: matched needs the same rows in every language, got {given}; use independent")
    if config.pairs is None:
        return dict(sizes)
    if config.budget == "per_language":
        amounts = dict.fromkeys(sizes, config.pairs)
    else:
        share, rest = divmod(config.pairs, len(sizes))
        amounts = {language: share + (index < rest) for index, language in enumerate(sizes)}
    smallest = min(sizes, key=lambda language: sizes[language])
    if min(amounts.values()) < 1:
        raise InputError(f"pairs: {config.pairs} is fewer than one for each of {listed(sizes)}; raise pairs")
    if not config.repeat and any(amounts[language] > sizes[language] for language in sizes):
        most = sizes[smallest] * (1 if config.budget == "per_language" else len(sizes))
        raise InputError(
            f"pairs: {config.pairs} ({config.budget}) asks for {max(amounts.values())} pairs of a language, but "
            f"{smallest} has {sizes[smallest]}; lower pairs to at most {most} or set repeat: true"
        )
    return amounts


def matched_places(hashes: Mapping[str, npt.NDArray[Any]]) -> dict[str, Rows]:
    """Return for each language the rows whose ids all languages have, in one order: row k of each has the same id.

    ``hashes`` are the hashes of the ids, in the order of the rows. The result has the order of the first language; if
    an id occurs twice, its first row counts. A mixture with ``content: matched`` draws positions in these arrays. Takes
    eight bytes for each row and language. Raises ``InputError`` if the languages share no id.
    """
    unique = {language: np.unique(ids, return_index=True) for language, ids in hashes.items()}
    (first, (shared, first_row)), *others = unique.items()
    for _, (ids, _) in others:
        keep = np.isin(shared, ids, assume_unique=True)
        shared, first_row = shared[keep], first_row[keep]
    if not len(shared):
        sizes = listed(f"{language} {len(ids)}" for language, ids in hashes.items())
        raise InputError(
            f"content: matched, but {listed(hashes)} share no sentence (pairs: {sizes}); use multi-parallel bitext or "
            "content: independent"
        )
    order = np.argsort(first_row)
    shared = shared[order]
    rows = {first: first_row[order].astype(np.int64)}
    for language, (ids, row) in others:
        rows[language] = row[np.searchsorted(ids, shared)].astype(np.int64)
    return rows


def _cumulative_weights(amounts: Mapping[str, int], temperature: float) -> list[int]:
    weights = list(amounts.values())
    if temperature != 1.0:
        most = max(weights)
        weights = [max(1, round((weight / most) ** (1 / temperature) * WEIGHT_SCALE)) for weight in weights]
    cumulative = [0]
    for weight in weights:
        cumulative.append(cumulative[-1] + weight)
    return cumulative


def _language_number(language: str) -> int:
    return int.from_bytes(hashlib.sha256(language.encode()).digest()[:8])
