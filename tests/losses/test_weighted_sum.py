"""A weighted sum of losses, and its place in a spec."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional

from optical_ray.losses.contrastive import Contrastive
from optical_ray.losses.greedy import Greedy
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.sentence_mse import SentenceMSE
from optical_ray.losses.weighted_sum import WeightedLoss, WeightedSum
from optical_ray.retrieval.embeddings import TokenEmbeddings

SPEC = {
    "kind": "sum",
    "terms": [
        {"weight": 2, "loss": {"kind": "optimal_transport", "solver": {"kind": "sinkhorn", "epsilon": 0.3}}},
        {"loss": {"kind": "contrastive"}},
    ],
}


def pair():
    sides = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        vectors = functional.normalize(torch.randn(3, 4, 8, generator=generator), dim=-1)
        sides.append(TokenEmbeddings(vectors, torch.ones(3, 4, dtype=torch.bool)))
    return sides


def test_the_value_is_the_weighted_sum_and_each_term_is_reported():
    student, teacher = pair()
    loss = WeightedSum(terms=(WeightedLoss(Greedy(), 0.25), WeightedLoss(SentenceMSE(), 3.0)))
    greedy, mse = Greedy()(student, teacher), SentenceMSE()(student, teacher)
    out = loss(student, teacher)
    torch.testing.assert_close(out.loss, 0.25 * greedy.loss + 3 * mse.loss)
    assert out.diagnostics == greedy.diagnostics | {"loss/greedy": greedy.loss, "loss/sentence_mse": mse.loss}


def test_a_sum_is_in_batch_if_a_term_is():
    assert not WeightedSum(terms=(WeightedLoss(Greedy()),)).in_batch
    assert WeightedSum(terms=(WeightedLoss(Greedy()), WeightedLoss(Contrastive()))).in_batch


def test_a_spec_can_hold_it():
    adapter = TypeAdapter(WeightedSum)
    loss = adapter.validate_python(SPEC)
    assert [term.weight for term in loss.terms] == [2.0, 1.0]
    assert loss.terms[0].loss == OptimalTransport(solver=loss.terms[0].loss.solver)
    assert loss.terms[0].loss.solver.epsilon == 0.3
    assert loss.terms[1].loss == Contrastive()
    assert adapter.validate_python(adapter.dump_python(loss)) == loss
    assert adapter.validate_json(adapter.dump_json(loss)) == loss
    assert adapter.validate_python(loss) == loss
    assert TypeAdapter(WeightedLoss).validate_python(loss.terms[1]) == loss.terms[1]


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"loss": {"kind": "nonsense"}}, "optimal_transport"),
        ({"loss": {"kind": "sum", "terms": []}}, "tag"),
        ({"loss": {"kind": "greedy", "tempo": 1}}, "tempo"),
        ({"loss": {"kind": "greedy"}, "factor": 1}, "factor"),
        ({"loss": {"kind": "softmax", "temperature": 0}}, r"temperature: must be > 0, got 0"),
        ({"loss": {"kind": "greedy"}, "weight": -1}, r"weight: must be > 0, got -1"),
    ],
)
def test_an_invalid_spec_is_refused(term, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(WeightedSum).validate_python({"kind": "sum", "terms": [term]})


def test_invalid_sums_are_refused():
    with pytest.raises(ValueError, match="terms: must name at least one loss, got none"):
        WeightedSum()
    with pytest.raises(ValueError, match="terms: must name each kind once, got greedy again"):
        WeightedSum(terms=(WeightedLoss(Greedy()), WeightedLoss(Greedy())))
    with pytest.raises(ValueError, match="terms: must not be sums themselves"):
        WeightedSum(terms=(WeightedLoss(WeightedSum(terms=(WeightedLoss(Greedy()),))),))
