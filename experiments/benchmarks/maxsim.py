"""Measure exhaustive MaxSim over a collection on disk: passages per second, memory, equality with ranking in memory.

    python experiments/benchmarks/maxsim.py [--queries 1000] [--passages 100000] [--threads N] [--json FILE]

Queries have 32 tokens, passages 16 to 64 (uniform); vectors are random unit vectors of 128 dimensions, stored in
float16. Every passage is scored for every query and the best 1,000 are kept. The first passages are scored again from
memory in one piece: indices and scores must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.ranking import GPU_CELLS_PER_BLOCK, DocumentVectors, padded
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import CELLS_PER_BLOCK, Ranking, rank

DIM, QUERY_TOKENS, PASSAGE_TOKENS, DEPTH = 128, 32, 64, 1000
AT_ONCE = 8192
COMPARED = 2000


def write_passages(count: int, folder: Path) -> None:
    """Write random passages in the format of a large collection's document vectors."""
    generator = torch.Generator().manual_seed(0)
    with RaggedWriter(folder, "documents", np.float16, (DIM,)) as writer:
        for start in range(0, count, AT_ONCE):
            size = min(AT_ONCE, count - start)
            lengths = torch.randint(PASSAGE_TOKENS // 4, PASSAGE_TOKENS + 1, (size,), generator=generator)
            vectors = functional.normalize(torch.randn(int(lengths.sum()), DIM, generator=generator), dim=-1)
            writer.append_flat(vectors.half().numpy(), lengths.numpy())


def ranked(queries: TokenEmbeddings, table: Ragged, device: str) -> Ranking:
    """Rank the passages part by part."""
    parts = DocumentVectors(table).parts()
    moved = (TokenEmbeddings(part.vectors.to(device), part.mask.to(device)) for part in parts)  # type: ignore[union-attr]
    cells = CELLS_PER_BLOCK if device == "cpu" else GPU_CELLS_PER_BLOCK
    return rank(queries, moved, top_k=DEPTH, cells_per_block=cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = Path(tempfile.mkdtemp(prefix="maxsim-", dir=options.folder))
    try:
        result = measure(options.queries, options.passages, folder)
    finally:
        shutil.rmtree(folder)
    result["threads"] = options.threads
    for name, value in result.items():
        print(f"{name:<28} {value:,.2f}" if isinstance(value, float) else f"{name:<28} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def measure(num_queries: int, num_passages: int, folder: Path) -> dict[str, Any]:
    """Run the benchmark; returns its results by name."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    write_passages(num_passages, folder)
    table = Ragged.open(folder, "documents")
    generator = torch.Generator().manual_seed(1)
    vectors = functional.normalize(torch.randn(num_queries, QUERY_TOKENS, DIM, generator=generator), dim=-1)
    queries = TokenEmbeddings(
        vectors.to(device), torch.ones(num_queries, QUERY_TOKENS, dtype=torch.bool, device=device)
    )
    start = time.perf_counter()
    ranking = ranked(queries, table, device)
    seconds = time.perf_counter() - start
    operations = 2 * num_queries * QUERY_TOKENS * DIM * len(table.values)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "queries": num_queries,
        "passages": num_passages,
        "tokens": len(table.values),
        "gigabytes on disk": table.values.nbytes / 1e9,
        "seconds": seconds,
        "passages/s for all queries": num_passages / seconds,
        "scores/s": num_passages * num_queries / seconds,
        "GFLOP/s": operations / seconds / 1e9,
        "peak memory, GB": memory,
        "equal to in memory": equals_memory(queries, table, device),
        "best passage of query 0": int(ranking.indices[0, 0]),
    }


def equals_memory(queries: TokenEmbeddings, table: Ragged, device: str) -> bool:
    """Whether the first passages have the same ranking if they are one piece in memory."""
    first = table.slice(0, min(COMPARED, len(table)))
    whole = padded([first[row] for row in range(len(first))])
    whole = TokenEmbeddings(whole.vectors.to(device), whole.mask.to(device))
    once, parted = rank(queries, whole, top_k=DEPTH), ranked(queries, first, device)
    same = (once.indices == parted.indices).float().mean()
    return bool(torch.allclose(once.scores, parted.scores, atol=1e-4) and same > 0.999)


if __name__ == "__main__":
    main()
