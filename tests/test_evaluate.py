"""Scores equal those of a plain MaxSim and ir_measures, and are written to a trial's folder."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import ir_measures
import pytest
import torch
from ir_measures import AP, RR, nDCG
from torch import nn

from optical_ray.config.experiment import Experiment
from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.evaluate import Evaluator, Scored, means, read_per_query, write_evaluation, write_mean
from optical_ray.prepare.text import Preparation
from optical_ray.study.files import read_json
from optical_ray.study.records import read_scores
from tests.tiny_study import NUM_TOPICS, TARGETS

NUM_DOCUMENTS = 2 * NUM_TOPICS


@pytest.fixture
def encoder(prepared: Preparation) -> TokenEncoder:
    return Checkpoint.open(prepared.inputs.models.initial_student).load()


def folders(prepared: Preparation, *targets: str) -> list[Path]:
    return [
        path for path in prepared.inputs.scoring.collections if read_json(path / "collection.json")["target"] in targets
    ]


def source(experiment: Experiment, target: str) -> TrecCollection:
    """The collection of ``target``, read from its files."""
    dataset = experiment.data.collections[target]
    assert isinstance(dataset, TrecCollection)
    return dataset


def token_vectors(checkpoint: Checkpoint, encoder: TokenEncoder, texts: list[str], role: Any) -> list[torch.Tensor]:
    """The token vectors of each text, encoded one at a time."""
    vectors = []
    for ids in checkpoint.tokenizer().encode(texts, role, 32).ids:
        with torch.no_grad():
            embeddings = encoder.eval()(torch.tensor([ids]))
        vectors.append(embeddings.vectors[0][embeddings.mask[0]])
    return vectors


def plain_run(
    prepared: Preparation, encoder: TokenEncoder, reader: TokenEncoder, read: Any
) -> dict[str, dict[str, float]]:
    """MaxSim by its definition, text by text; ``reader`` encodes the documents."""
    checkpoint = Checkpoint.open(prepared.inputs.models.initial_student)
    queries = token_vectors(checkpoint, encoder, [topic.text for topic in read.topics], "query")
    documents = token_vectors(checkpoint, reader, [document.text for document in read.documents], "document")
    return {
        topic.topic_id: {
            document.doc_id: (query @ vectors.T).amax(dim=1).sum().item()
            for document, vectors in zip(read.documents, documents, strict=True)
        }
        for topic, query in zip(read.topics, queries, strict=True)
    }


def changed(encoder: TokenEncoder) -> TokenEncoder:
    """The same encoder with other weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return encoder


@pytest.mark.parametrize("split", ["eval", "test"])
def test_scores_are_those_of_plain_maxsim_and_ir_measures(
    experiment: Experiment, prepared: Preparation, encoder: TokenEncoder, split: str
) -> None:
    evaluation = Evaluator(prepared.inputs.scoring.collections, ["AP", "nDCG@20", "RR"]).evaluate(encoder, (split,))
    assert list(evaluation) == [split]
    assert set(evaluation[split]) == set(TARGETS)
    measures = {"AP": AP, "nDCG@20": nDCG @ 20, "RR": RR}
    for target, scored in evaluation[split].items():
        read = source(experiment, target).load(split)
        expected = plain_run(prepared, encoder, encoder, read)
        assert scored.run.keys() == expected.keys()
        for topic_id, documents in expected.items():
            assert scored.run[topic_id] == pytest.approx(documents, abs=5e-6)
        qrels = {topic_id: dict(grades) for topic_id, grades in read.qrels.grades.items()}
        values = list(ir_measures.iter_calc(list(measures.values()), qrels, expected))
        assert len(values) == 3 * len(expected)
        for value in values:
            [name] = [name for name, measure in measures.items() if measure == value.measure]
            assert scored.per_query[name][value.query_id] == pytest.approx(value.value, abs=1e-6)
        assert means(evaluation)[split]["AP"][target] == pytest.approx(
            ir_measures.calc_aggregate([AP], qrels, expected)[AP]
        )


def test_evaluation_keeps_the_mode_of_the_encoder(prepared: Preparation, encoder: TokenEncoder) -> None:
    for training in (True, False):
        encoder.train(training)
        Evaluator(folders(prepared, "sw"), ["AP"]).evaluate(encoder, ("eval",))
        assert encoder.training is training


class Counting(nn.Module):
    """Counts the texts that a backbone encodes."""

    def __init__(self, backbone: Any):
        super().__init__()
        self.backbone, self.texts, self.config = backbone, 0, backbone.config

    def forward(self, input_ids: torch.Tensor, **others: Any) -> Any:
        self.texts += len(input_ids)
        return self.backbone(input_ids=input_ids, **others)


def test_documents_that_targets_share_are_encoded_once(prepared: Preparation, encoder: TokenEncoder) -> None:
    expected = Evaluator(prepared.inputs.scoring.collections, ["AP"]).evaluate(encoder, ("eval", "test"))
    counter = encoder.backbone = Counting(encoder.backbone)
    assert Evaluator(prepared.inputs.scoring.collections, ["AP"]).evaluate(encoder, ("eval", "test")) == expected
    assert counter.texts == NUM_DOCUMENTS + len(TARGETS) * NUM_TOPICS


def test_the_next_call_uses_the_changed_weights_of_the_student(prepared: Preparation, encoder: TokenEncoder) -> None:
    evaluator = Evaluator(folders(prepared, "sw"), ["AP"])
    before = evaluator.evaluate(encoder, ("eval",))["eval"]["sw"].run
    assert evaluator.evaluate(changed(encoder), ("eval",))["eval"]["sw"].run != before


def test_the_teacher_can_encode_documents(experiment: Experiment, prepared: Preparation, encoder: TokenEncoder) -> None:
    teacher = Checkpoint.open(prepared.inputs.models.teacher).load()
    evaluator = Evaluator(folders(prepared, "sw"), ["AP"], "teacher", prepared.inputs.models.teacher)
    scored = evaluator.evaluate(changed(encoder), ("test",))["test"]["sw"]
    expected = plain_run(prepared, encoder, teacher, source(experiment, "sw").load("test"))
    for topic_id, documents in expected.items():
        assert scored.run[topic_id] == pytest.approx(documents, abs=5e-6)


def test_topic_vectors_with_nan_are_refused(prepared: Preparation, encoder: TokenEncoder) -> None:
    with torch.no_grad():
        encoder.input_embeddings.weight[:] = float("nan")
    with pytest.raises(FloatingPointError, match=r"so \(eval\), sw \(eval\)"):
        Evaluator(prepared.inputs.scoring.collections, ["AP"]).evaluate(encoder, ("eval",))


def test_document_vectors_with_nan_are_refused(
    experiment: Experiment, prepared: Preparation, encoder: TokenEncoder
) -> None:
    """All workers must learn of it: topics of this target have no piece with a NaN, its documents have one."""
    tokenizer = Checkpoint.open(prepared.inputs.models.initial_student).tokenizer()
    collection = source(experiment, "sw").load("eval")

    def pieces(texts: list[str]) -> set[int]:
        return {index for text in texts for index in tokenizer.backend.encode(text, add_special_tokens=False).ids}

    in_documents = pieces([document.text for document in collection.documents])
    unknown_to_topics = in_documents - pieces([topic.text for topic in collection.topics])
    with torch.no_grad():
        encoder.input_embeddings.weight[sorted(unknown_to_topics)[0]] = float("nan")
    with pytest.raises(FloatingPointError, match=r"NaN or infinite vectors for sw \(eval\)"):
        Evaluator(folders(prepared, "sw"), ["AP"]).evaluate(encoder, ("eval",))


def test_written_scores_are_exactly_the_evaluated_ones(
    prepared: Preparation, encoder: TokenEncoder, tmp_path: Path
) -> None:
    evaluation = Evaluator(prepared.inputs.scoring.collections, ["AP", "RR"]).evaluate(encoder, ("eval", "test"))
    write_evaluation(tmp_path, evaluation)
    assert read_json(tmp_path / "scores.json") == means(evaluation)
    table = read_per_query(tmp_path)
    rows = {(row["split"], row["target"], row["metric"], row["topic_id"]): row["value"] for row in table}
    assert len(rows) == len(table) == 2 * 2 * NUM_TOPICS
    for (split, target, metric, topic_id), value in rows.items():
        assert evaluation[split][target].per_query[metric][topic_id] == value
    run = evaluation["test"]["sw"].run
    with gzip.open(tmp_path / "run.sw.trec.gz", "rt") as stream:
        lines = [line.split() for line in stream]
    assert len(lines) == len(run) * NUM_DOCUMENTS
    for topic_id, _, doc_id, _, value, _ in lines:
        assert float(value) == run[topic_id][doc_id]


def test_a_later_target_or_metric_keeps_the_earlier_results(
    prepared: Preparation, encoder: TokenEncoder, tmp_path: Path
) -> None:
    assert read_per_query(tmp_path) == []
    sw, so = folders(prepared, "sw"), folders(prepared, "so")
    write_evaluation(tmp_path, Evaluator(sw, ["AP"]).evaluate(encoder, ("eval", "test")))
    first = read_json(tmp_path / "scores.json")
    for _ in range(2):  # the second time nothing is new
        write_evaluation(tmp_path, Evaluator(so, ["AP", "RR"]).evaluate(encoder, ("eval", "test")))
        both = read_json(tmp_path / "scores.json")
        assert both["test"]["AP"]["sw"] == first["test"]["AP"]["sw"]
        assert (set(both["test"]["AP"]), set(both["test"]["RR"])) == ({"sw", "so"}, {"so"})
        rows = [(row["split"], row["target"], row["metric"], row["topic_id"]) for row in read_per_query(tmp_path)]
        assert len(rows) == len(set(rows)) == NUM_TOPICS + 2 * NUM_TOPICS
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"scores.json", "per_query.parquet", "run.sw.trec.gz", "run.so.trec.gz"}


def test_means_cover_what_all_replicates_have(tmp_path: Path) -> None:
    """An older replicate may have more metrics."""
    values = {"old": {"AP": [0.2, 0.4], "RR": [1.0, 1.0]}, "new": {"AP": [0.4, 0.8]}}
    for name, metrics in values.items():
        per_query = {metric: dict(zip("ab", of_topics, strict=True)) for metric, of_topics in metrics.items()}
        write_evaluation(tmp_path / name, {"test": {"sw": Scored({"a": {"d": 1.0}}, per_query)}})
    write_mean(tmp_path, [tmp_path / "old", tmp_path / "new"])
    assert read_scores(tmp_path) == {"test": {"AP": {"sw": pytest.approx(0.45)}}}
    rows = {(row["metric"], row["topic_id"]): row["value"] for row in read_per_query(tmp_path)}
    assert rows == {("AP", "a"): pytest.approx(0.3), ("AP", "b"): pytest.approx(0.6)}
