"""One optimisation step: it learns, it is the sum it says it is, and it stops before a number goes wrong."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.losses.contrastive import Contrastive
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.step import (
    Distillation,
    Relevance,
    StepOutput,
    compact,
    new_state,
    token_distance,
    train_step,
)
from tests.training.students import ENGLISH, FOREIGN, batch, encoder, ids, state_of, tokenizer


@pytest.fixture(scope="module")
def pieces() -> PieceTokenizer:
    return tokenizer()


@pytest.fixture
def teacher(pieces: PieceTokenizer) -> TokenEncoder:
    return encoder(pieces)


def distillation(
    student: TokenEncoder,
    loss: Loss | None = None,
    *,
    anchor: float = 0.5,
    same: bool = True,
    teacher: TokenEncoder | None = None,
) -> Distillation:
    return Distillation(
        student, loss or OptimalTransport(), anchor_weight=anchor, same_pieces=same, teacher=teacher
    ).train()


def snapshot(state: Any) -> dict[str, Any]:
    return deepcopy(
        {
            "weights": state.objective.state_dict(),
            "optimizer": state.optimizer.state_dict()["state"],
            "scheduler": state.scheduler.state_dict(),
            "step": state.step,
        }
    )


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("loss", [OptimalTransport(), Contrastive()], ids=lambda loss: loss.kind)
def test_the_student_learns(pieces: PieceTokenizer, teacher: TokenEncoder, loss: Loss) -> None:
    state = state_of(distillation(encoder(pieces), loss))
    pairs = batch(pieces, teacher)
    rows = [train_step(state, pairs) for _ in range(30)]
    assert rows[-1]["distillation"] < 0.6 * rows[0]["distillation"]
    assert state.step == 30


def test_the_loss_is_distillation_and_weighted_anchor(pieces: PieceTokenizer, teacher: TokenEncoder) -> None:
    student, pairs = encoder(pieces, seed=1), batch(pieces, teacher)
    output = distillation(student, anchor=0.25)(pairs)
    distances = []
    for text, vectors, mask in zip(ENGLISH, pairs.teacher.vectors, pairs.teacher.mask, strict=False):
        read = student(ids(pieces, [text]))
        cosines = cosine_similarity(read.vectors[0][read.mask[0]], vectors[mask], dim=-1)
        distances.append((1 - cosines).mean())
    anchor = torch.stack(distances).mean()
    expected = OptimalTransport()(student(pairs.foreign), pairs.teacher).loss
    assert torch.allclose(output.diagnostics["anchor"], anchor, atol=1e-5)
    assert torch.allclose(output.diagnostics["distillation"], expected, atol=1e-5)
    assert torch.allclose(output.loss, expected + 0.25 * anchor, atol=1e-5)


def test_at_the_teachers_own_weights_the_anchor_is_nothing(pieces: PieceTokenizer, teacher: TokenEncoder) -> None:
    output = distillation(encoder(pieces))(batch(pieces, teacher))
    assert output.diagnostics["anchor"].item() == pytest.approx(0, abs=1e-4)  # half precision


def test_without_a_weight_the_pivot_is_not_read(pieces: PieceTokenizer, teacher: TokenEncoder) -> None:
    student, pairs = encoder(pieces, seed=1), batch(pieces, teacher)
    output = distillation(student, anchor=0)(pairs)
    assert "anchor" not in output.diagnostics
    assert torch.equal(output.loss, OptimalTransport()(student(pairs.foreign), pairs.teacher).loss)


def test_where_pieces_differ_the_anchor_is_the_loss_itself(pieces: PieceTokenizer, teacher: TokenEncoder) -> None:
    student, pairs = encoder(pieces, seed=1), batch(pieces, teacher)
    output = distillation(student, same=False)(pairs)
    expected = OptimalTransport()(student(pairs.pivot), pairs.teacher).loss
    assert torch.allclose(output.diagnostics["anchor"], expected, atol=1e-5)


@pytest.mark.parametrize("same", [True, False])
def test_a_teacher_inside_the_step_is_as_good_as_its_cached_vectors(
    pieces: PieceTokenizer, teacher: TokenEncoder, same: bool
) -> None:
    student = encoder(pieces, seed=1)
    cached = distillation(student, same=same)(batch(pieces, teacher))
    inside = distillation(student, same=same, teacher=teacher)(batch(pieces, None))
    assert torch.allclose(cached.loss, inside.loss, atol=1e-5)
    inside.loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_inside_stays_as_it_is(pieces: PieceTokenizer) -> None:
    noisy = encoder(pieces, dropout=0.5)
    objective = distillation(encoder(pieces, seed=1), teacher=noisy)
    before = deepcopy(noisy.state_dict())
    first = objective(batch(pieces, None)).loss
    assert torch.equal(first, objective(batch(pieces, None)).loss)
    train_step(state_of(objective), batch(pieces, None))
    assert same(before, noisy.state_dict())


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_nothing(pieces: PieceTokenizer, teacher: TokenEncoder, broken: float) -> None:
    state = state_of(distillation(encoder(pieces)))
    train_step(state, batch(pieces, teacher))
    with torch.no_grad():
        state.objective.student.projection.weight[0, 0] = broken  # type: ignore[union-attr, index]
    before = snapshot(state)
    with pytest.raises(FloatingPointError, match="at step 2"):
        train_step(state, batch(pieces, teacher))
    after = snapshot(state)
    for part in (before, after):
        part["weights"] = {name: value.nan_to_num(nan=7.0) for name, value in part["weights"].items()}
    assert same(before, after)


class Root(nn.Module):
    """sqrt(w): at 0 a number whose gradient is none."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self) -> StepOutput:
        return StepOutput(self.weight.sqrt().sum())


def test_a_gradient_that_is_no_number_changes_nothing() -> None:
    state = state_of(Root())
    before = snapshot(state)
    with pytest.raises(FloatingPointError, match=r"gradient.*inf at step 1"):
        train_step(state)
    assert same(before, snapshot(state))


class Plane(nn.Module):
    """A loss whose gradient is (3, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(1, 2))
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self) -> StepOutput:
        return StepOutput((self.matrix * torch.tensor([3.0, 4.0])).sum(), {"twice": torch.tensor(2.0)})


def test_the_rate_rises_and_falls_and_only_matrices_decay() -> None:
    objective = Plane()
    state = new_state(objective, objective, learning_rate=0.8, weight_decay=0.1, warmup=0.2, steps=10, clip=1.0)
    rates, rows = [], []
    for _ in range(10):
        rates.append(state.optimizer.param_groups[0]["lr"])
        rows.append(train_step(state))
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert [group["weight_decay"] for group in state.optimizer.param_groups] == [0.1, 0.0]
    assert [[p.ndim for p in group["params"]] for group in state.optimizer.param_groups] == [[2], [1]]
    assert rows[0]["gradient_norm"] == pytest.approx(5)  # before it was clipped
    assert rows[0]["loss"] == 0
    assert rows[0]["twice"] == 2


def test_relevance_is_the_cross_entropy_of_the_mean_best_match(pieces: PieceTokenizer) -> None:
    model = encoder(pieces, seed=2)
    queries, documents = ENGLISH[:3], FOREIGN[:3]
    output = Relevance(model, temperature=0.5)(ids(pieces, queries), ids(pieces, documents))
    with torch.no_grad():
        read = {text: model(ids(pieces, [text])) for text in (*queries, *documents)}
    vectors = {text: cloud.vectors[0][cloud.mask[0]] for text, cloud in read.items()}
    losses, hits = [], 0
    for row, query in enumerate(queries):
        scores = [
            sum(max(float(q @ d) for d in vectors[document]) for q in vectors[query]) / len(vectors[query]) / 0.5
            for document in documents
        ]
        losses.append(torch.logsumexp(torch.tensor(scores), 0).item() - scores[row])
        hits += scores[row] == max(scores)
    assert output.loss.item() == pytest.approx(sum(losses) / 3, abs=1e-5)
    assert output.diagnostics["accuracy"].item() == pytest.approx(hits / 3)


def test_hard_negatives_and_a_judge_enter_the_loss(pieces: PieceTokenizer) -> None:
    """Against the definition: more documents to choose from, and KL over each query's own three."""
    model = encoder(pieces, seed=2)
    queries, answers, negatives = ENGLISH[:2], FOREIGN[:2], [*FOREIGN[2:4], *ENGLISH[2:4]]
    judged = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.0]])
    output = Relevance(model, 0.5, kl_weight=3.0)(ids(pieces, queries), ids(pieces, [*answers, *negatives]), judged)
    with torch.no_grad():
        scores = torch.stack([_scores(model, pieces, query, [*answers, *negatives]) / 0.5 for query in queries])
    cross = (scores.logsumexp(1) - scores.diagonal()).mean()
    own = torch.stack([scores[0, [0, 2, 3]], scores[1, [1, 4, 5]]]).softmax(1)
    judge = judged.softmax(1)
    divergence = (judge * (judge / own).log()).sum(1).mean()
    assert output.diagnostics["kl"].item() == pytest.approx(divergence.item(), abs=1e-5)
    assert output.loss.item() == pytest.approx((cross + 3 * divergence).item(), abs=1e-5)


def _scores(model: TokenEncoder, pieces: PieceTokenizer, query: str, documents: list[str]) -> torch.Tensor:
    """Mean over the query's tokens of the best match in each document."""
    read = [model(ids(pieces, [text])) for text in (query, *documents)]
    first, *others = (cloud.vectors[0][cloud.mask[0]] for cloud in read)
    return torch.stack([(first @ other.T).max(1).values.mean() for other in others])


def test_compacting_moves_real_tokens_to_the_front() -> None:
    mask = torch.tensor([[False, True, False, True, False], [True, False, False, False, False]])
    vectors = torch.arange(10.0).reshape(2, 5, 1) * mask[..., None]
    found = compact(TokenEmbeddings(vectors, mask))
    assert found.mask.tolist() == [[True, True], [True, False]]
    assert found.vectors[..., 0].tolist() == [[1, 3], [5, 0]]


def test_token_distance_is_averaged_over_tokens_and_then_over_pairs() -> None:
    axes = torch.eye(2)
    student = TokenEmbeddings(
        torch.stack([axes, torch.stack([axes[0], torch.zeros(2)])]), torch.tensor([[True, True], [True, False]])
    )
    swapped = TokenEmbeddings(student.vectors.flip(-1), student.mask)
    half = TokenEmbeddings(torch.stack([axes[[0, 0]], student.vectors[1]]), student.mask)
    assert token_distance(student, student) == 0
    assert token_distance(student, swapped) == 1
    assert token_distance(student, half) == pytest.approx((0.5 + 0) / 2)
