"""The verb that scores one student on one collection, without a study and without Ray."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from optical_ray.cli.terminal import console
from optical_ray.config.choices import CollectionChoice
from optical_ray.data.interface import CollectionDataset
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import Evaluator, means, write_evaluation
from optical_ray.metrics.scores import parse
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.tokens import CollectionSource, Pieces, collection_tokens
from optical_ray.types import InputError


def score_checkpoint(checkpoint: Path, collection: Path, split: str, metrics: list[str], out: Path) -> None:
    """Write run, per-query scores and means of ``checkpoint`` on every collection of the YAML, and print the means."""
    if split not in ("eval", "test"):
        raise InputError(f"--split {split}: must be eval or test")
    names = [parse(name.strip()).name for name in metrics]
    opened = Checkpoint.open(checkpoint)
    collections = read_collections(collection)
    pieces = Pieces.from_tokenizer(opened.tokenizer(), opened.query_length, opened.document_length)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        sources = [CollectionSource(name, dataset, name, split) for name, dataset in collections.items()]
        folders = [collection_tokens(source, pieces, cache) for source in sources]
        evaluation = Evaluator(folders, names).evaluate(opened.load(), (split,))
    write_evaluation(out, evaluation)
    table = Table(box=None, pad_edge=False)
    table.add_column("collection")
    for name in names:
        table.add_column(name, justify="right")
    scores = means(evaluation)[split]
    for target in collections:
        table.add_row(target, *(f"{scores[name][target]:.4f}" for name in names))
    screen = console()
    screen.print(table)
    screen.print(f"runs and per-query scores: {out}", soft_wrap=True)


def read_collections(path: Path) -> dict[str, CollectionDataset]:
    """The collections of a YAML: one block with a ``kind``, or those of a study's spec."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable YAML ({error})") from error
    if isinstance(raw, dict) and "kind" in raw:
        blocks = {str(raw.get("language", path.stem)): raw}
    elif isinstance(raw, dict) and isinstance(raw.get("data"), dict) and raw["data"].get("collections"):
        blocks = raw["data"]["collections"]
    else:
        raise InputError(f"{path}: expected a collection ({{kind: ...}}) or a spec with data.collections")
    adapter: TypeAdapter[CollectionDataset] = TypeAdapter(CollectionChoice)
    try:
        return {name: adapter.validate_python(block) for name, block in blocks.items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
