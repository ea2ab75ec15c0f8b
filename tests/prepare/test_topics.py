"""Run files of other tools, read for one split of a collection."""

from pathlib import Path

import pytest

from optical_ray.config.baselines import RunFile
from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.prepare.topics import run_for


@pytest.mark.parametrize("doc_id", ["d", "http://x/a%20b", "50%"])
def test_ids_that_look_escaped_are_the_collections_own(doc_id: str, tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("".join(f"{i}\tswali {i}\n" for i in range(9)))
    (tmp_path / "documents.tsv").write_text(f"{doc_id}\ttext\n")
    (tmp_path / "qrels.txt").write_text("".join(f"{i} 0 {doc_id} 1\n" for i in range(9)))
    (tmp_path / "run.trec").write_text("".join(f"{i} Q0 {doc_id} 1 2.5 other\n" for i in range(9)))
    dataset = TrecCollection(root=str(tmp_path), language="sw")
    source = CollectionSource("sw", dataset, dataset.fingerprint(), "test")
    run = run_for(source, RunFile(kind="run", run={"sw": str(tmp_path / "run.trec")}), "baselines.x")
    assert run == {topic.topic_id: {doc_id: 2.5} for topic in source.collection.topics}
