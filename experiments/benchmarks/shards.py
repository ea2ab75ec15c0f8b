"""Ten million sentence pairs on disk: the speed of writing, the memory of reading and the time of a seek.

    python experiments/benchmarks/shards.py [--pairs 10000000] [--languages sw,so] [--folder DIR] [--json FILE]

The pairs repeat the bundled CLDR sentences, each with a number at its end, so that their lengths are realistic.
Measured: pairs per second from text to shard (filter, Arrow file, manifest with its digest; no tokenisation), search
for leaks, token tables (with digests of the sentences and counts of the tokens, but without the tokenizer's own time),
search for sentences that languages share, growth of a process's resident memory while it streams batches of 64 from the
mixture in random order, and the time from start to the batch of step 50,000.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tokenizers
from tokenizers.models import Unigram

from optical_ray.data.datasets.cldr_annotations import CldrBitext, CldrCollection
from optical_ray.data.interface import BITEXT_SCHEMA, Counts, pair_batches
from optical_ray.data.leaks import EvaluationTexts, find_leaks
from optical_ray.data.mixture import Mixture, MixtureConfig
from optical_ray.data.pair_filter import Pair, PairFilter
from optical_ray.data.shards import ShardReader, write_shard
from optical_ray.encoders.tokenizer import Encoded, PieceTokenizer, Role
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.tokens import Pieces, bitext_tokens, unique_pivots
from optical_ray.training.batches import PairStream
from optical_ray.training.bitext_tokens import BitextTokens

BATCH = 64
SEEK_TO = 50_000
ROWS_AT_ONCE = 65_536
VOCABULARY = 8000


def pairs(language: str, count: int) -> Iterator[Pair]:
    """Yield ``count`` pairs: the bundled ones repeated, each with its number."""
    texts = [
        (pivot, foreign)
        for batch in CldrBitext().batches(language, Counts())
        for pivot, foreign in zip(batch["pivot"].to_pylist(), batch["foreign"].to_pylist(), strict=True)
    ]
    for number in range(count):
        pivot, foreign = texts[number % len(texts)]
        yield Pair(f"{pivot} {number}", f"{foreign} {number}")


def write(language: str, count: int, folder: Path) -> tuple[int, dict[str, Clock]]:
    """Write a shard, find its leaks and write its token table; return the number of rows and the time of each."""
    counts = Counts()
    kept = PairFilter(min_length=1, max_ratio=100.0, duplicates="pair").apply(pairs(language, count), counts)
    numbered = ((str(number), pair.pivot, pair.foreign) for number, pair in enumerate(kept))
    with Clock() as shard:
        manifest = write_shard(folder / "shard", BITEXT_SCHEMA, pair_batches(numbered, counts))
    texts = EvaluationTexts([CldrCollection(language="sw").load("test")])
    with Clock() as leaks:
        find_leaks(ShardReader(folder / "shard").batches(), texts)
    with Clock() as pieces:
        ready = Pieces.from_tokenizer(ReadyTokenizer.new(), 32, 32)
        bitext_tokens(folder / "shard", ready, Cache(folder), role="query", max_length=32).rename(folder / "tokens")
    return manifest.rows, {"shard": shard, "leaks": leaks, "pieces": pieces}


class Clock:
    """Seconds on the wall and of the processor while a block runs; both, as others may use the machine."""

    wall = cpu = 0.0

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


class ReadyTokenizer(PieceTokenizer):
    """Rows of 6 to 20 pieces that were drawn before: a tokenizer that takes no time."""

    @classmethod
    def new(cls) -> ReadyTokenizer:
        return cls(tokenizers.Tokenizer(Unigram()), cls=0, sep=1, pad=2, markers={})

    @property
    def size(self) -> int:
        return VOCABULARY

    @property
    def digest(self) -> str:
        return "ready"

    @cached_property
    def drawn(self) -> list[list[int]]:
        numbers = np.random.default_rng(0)
        return [numbers.integers(7, VOCABULARY, length).tolist() for length in numbers.integers(6, 21, ROWS_AT_ONCE)]

    def encode(self, texts: Sequence[str], role: Role, max_length: int) -> Encoded:
        return Encoded(list(islice(cycle(self.drawn), len(texts))), truncated=0)


def stream(languages: list[str], folder: Path, steps: int) -> dict[str, float]:
    """Measure the time to the batch of ``SEEK_TO``, then memory while batches are read; runs in a separate process."""
    process = psutil.Process()
    before = process.memory_info().rss
    start = time.perf_counter()
    tables = {language: BitextTokens([folder / language / "tokens"]) for language in languages}
    lengths = {language: table.lengths() for language, table in tables.items()}
    mixture = Mixture(
        {language: len(table) for language, table in tables.items()},
        MixtureConfig(batch_size=BATCH),
        subsample_seed=0,
        order_seed=0,
        lengths=lambda language, rows: lengths[language][rows],
    )
    batches = PairStream(mixture, tables, None, pad=1, teacher_pad=1)
    batches.batch(SEEK_TO, 0, 1)
    found = {"seek": time.perf_counter() - start}
    most, start = 0, time.perf_counter()
    for step in range(steps):
        batches.batch(step, 0, 1)
        if step % 100 == 0:
            most = max(most, process.memory_info().rss)
    found["pairs_per_second"] = steps * BATCH / (time.perf_counter() - start)
    found["growth_mb"] = (max(most, process.memory_info().rss) - before) / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000, help="total number")
    parser.add_argument("--languages", default="sw,so")
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--folder", type=Path, help="folder for the files (2 GB for 10 million pairs)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stream", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    languages = options.languages.split(",")
    if options.stream:
        print(json.dumps(stream(languages, options.stream, options.steps)))
        return
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="shards-", dir=options.folder))
    try:
        result = measure(languages, options.pairs, options.steps, folder)
    finally:
        shutil.rmtree(folder)
    for name, value in result.items():
        print(f"{name:<32} {value:,.2f}" if isinstance(value, float) else f"{name:<32} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def measure(languages: list[str], num_pairs: int, steps: int, folder: Path) -> dict[str, Any]:
    """Return all figures; the languages are written in sequence, on one core."""
    written = [write(language, num_pairs // len(languages), folder / language) for language in languages]
    with Clock() as once:
        unique_pivots([folder / language / "tokens" for language in languages])
    written.append((0, {"once": once}))
    rows = sum(count for count, _ in written)
    command = [sys.executable, __file__, "--stream", str(folder), "--languages", ",".join(languages)]
    shown = subprocess.run([*command, "--steps", str(steps)], check=True, capture_output=True, text=True).stdout
    read = json.loads(shown.splitlines()[-1])
    clocks = [item for _, by_name in written for item in by_name.items()]
    names = dict.fromkeys(name for name, _ in clocks)
    seconds = {name: sum(clock.wall for other, clock in clocks if other == name) for name in names}
    busy = {name: sum(clock.cpu for other, clock in clocks if other == name) for name in names}
    speeds = {f"{name}, pairs/s": rows / seconds[name] for name in seconds}
    return {
        "pairs": rows,
        "gigabytes of text": sum(path.stat().st_size for path in folder.rglob("rows.arrow")) / 1e9,
        **speeds,
        "all of it, pairs/s": rows / sum(seconds.values()),
        "all of it, pairs per CPU second": rows / sum(busy.values()),
        f"seek to step {SEEK_TO}, s": read["seek"],
        "streamed, pairs/s": read["pairs_per_second"],
        "memory growth while streaming, MB": read["growth_mb"],
    }


if __name__ == "__main__":
    main()
