import numpy as np

from optical_ray.data.interface import Counts, pair_batches
from optical_ray.data.leaks import EvaluationTexts, find_leaks
from optical_ray.types import Collection, Document, Qrels, Topic

COLLECTION = Collection(
    name="trec/sw",
    split="test",
    topics=[Topic("1", "Habari  ya asubuhi", "sw")],
    documents=[Document("a", "Good Morning", "en"), Document("b", "ﬁne", "en")],
    qrels=Qrels({"1": {"a": 1}}),
    licence="",
)
PAIRS = [
    ("0", "good  morning", "habari za asubuhi"),
    ("1", "good night", "usiku mwema"),
    ("2", "well", "habari ya Asubuhi"),
    ("3", "Fine", "nzuri"),
    ("4", "good morning to you", "-"),
]


def test_pairs_with_an_evaluation_text_are_found_on_either_side() -> None:
    leaks = find_leaks(pair_batches(PAIRS, Counts()), EvaluationTexts([COLLECTION]))
    assert leaks.rows.tolist() == [0, 2, 3]
    assert leaks.counts == {"trec/sw test topics": 1, "trec/sw test documents": 2}


def test_positions_continue_over_batches() -> None:
    batches = [batch for _ in range(3) for batch in pair_batches(PAIRS, Counts())]
    batches.insert(1, batches[0].slice(0, 0))
    leaks = find_leaks(batches, EvaluationTexts([COLLECTION]))
    assert leaks.rows.tolist() == [0, 2, 3, 5, 7, 8, 10, 12, 13]


def test_sets_without_leaks_are_counted_as_zero() -> None:
    leaks = find_leaks(pair_batches(PAIRS[1:2], Counts()), EvaluationTexts([COLLECTION]))
    assert leaks.counts == {"trec/sw test topics": 0, "trec/sw test documents": 0}
    assert leaks.rows.dtype == np.int64
    assert len(leaks.rows) == 0


def test_near_identical_texts_are_leaks_and_counted() -> None:
    pairs = [
        ("0", "Good morning !", "x"),  # a space before punctuation
        ("1", "“Good\u00ad morning”", "x"),
        ("2", "-", "habari\u200b ya asubuhi\u200d."),
        ("3", "good  MORNING", "x"),  # identical but for case and spaces
        ("4", "Good mornings", "x"),
    ]
    leaks = find_leaks(pair_batches(pairs, Counts()), EvaluationTexts([COLLECTION]))
    assert leaks.rows.tolist() == [0, 1, 2, 3]
    assert leaks.near_identical == 3
