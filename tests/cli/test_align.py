"""The verb ``align``: the plans of one pair before and after distillation, printed and saved as JSON and PNG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from optical_ray.alignment import Alignment, Comparison, save_comparison, transport_of
from optical_ray.cli.align import command as align
from optical_ray.encoders.checkpoint import save
from optical_ray.losses.greedy import Greedy
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.weighted_sum import WeightedLoss, WeightedSum
from optical_ray.ot.solvers.sinkhorn import Sinkhorn
from optical_ray.study.files import read_json, write_json
from optical_ray.study.records import Ledger, TrialState
from optical_ray.types import InputError
from tests.export.students import student_of
from tests.toy_info import write_toy_info

KEY = "0123456789ab"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A study with one complete trial, whose student differs from the undistilled one."""
    folder = tmp_path / "study"
    folder.mkdir()
    digests = {"teacher": "encoder-1", "init": "encoder-1"}
    write_toy_info(folder, digests=digests)
    student = student_of(tmp_path, "xlmr", "pieces")
    lengths = {"query_length": 16, "document_length": 24}
    save(tmp_path / "cache" / "encoder-1", student.encoder, student.tokenizer, **lengths)
    ledger = Ledger.open(folder)
    config = {
        "teacher": {"kind": "pretrained", "checkpoint": "nobody/here"},
        "data": {"bitext": ["made"], "source_languages": ["sw"], "max_length": 16},
        "loss": {"kind": "optimal_transport", "solver": {"kind": "sinkhorn", "epsilon": 0.05}},
    }
    ledger.create(KEY, params={}, seed=0, config=config, source_languages=("sw",), steps=1)
    ledger.start(KEY, resumed_from=0)
    assert student.encoder.projection is not None
    with torch.no_grad():
        student.encoder.projection.weight.add_(torch.randn_like(student.encoder.projection.weight))
    save(ledger.trial_folder(KEY) / "student", student.encoder, student.tokenizer, **lengths)
    ledger.finish(KEY, TrialState.COMPLETE)
    return folder


def test_it_prints_and_saves_both_plans(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    align(trained, KEY, "a small bird sings", "ndege mdogo anaimba")
    printed = capsys.readouterr().out
    assert "before distillation: transport cost" in printed
    assert "after distillation: transport cost" in printed
    assert "mean best cosine" in printed
    assert "█" in printed
    assert re.search(r"1 \S+  2 ", printed)
    files = sorted((trained / "alignment").iterdir())
    assert [path.name.partition("-")[0] for path in files] == [KEY] * 3
    assert [path.suffix for path in files] == [".json", ".json", ".png"]
    assert files[2].read_bytes()[:4] == b"\x89PNG"
    plans = []
    for path in files[:2]:
        sample = read_json(path)
        plan = torch.tensor(sample["plan"])
        assert plan.shape == (len(sample["tokens"]), len(sample["pivot_tokens"]))
        assert float(plan.sum()) == pytest.approx(1, abs=1e-3)
        assert "".join(sample["tokens"]).replace("▁", " ").strip().startswith("ndege mdogo")
        assert "".join(sample["pivot_tokens"]).replace("▁", " ").strip().startswith("a small")
        assert sample["epsilon"] == 0.05
        plans.append(plan)
    assert not torch.allclose(plans[0], plans[1])


def test_idf_marginals_are_replaced_by_uniform_ones(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = trained / "trials" / KEY / "trial.json"
    record = read_json(path)
    record["config"]["loss"]["marginals"] = "idf"
    write_json(path, record)
    align(trained, KEY, "a small bird sings", "ndege mdogo anaimba")
    assert "shown with uniform marginals, because idf weights are known only for the bitext" in capsys.readouterr().out


@pytest.mark.parametrize(("english", "foreign"), [("", "ndege"), ("bird", "  ")])
def test_an_empty_sentence_is_refused(trained: Path, english: str, foreign: str) -> None:
    with pytest.raises(InputError, match="sentence is empty"):
        align(trained, KEY, english, foreign)


def test_an_unknown_key_and_a_deleted_cache_are_refused(trained: Path) -> None:
    with pytest.raises(InputError, match="nearest keys: 0123456789ab"):
        align(trained, "0123456789ac", "bird", "ndege")
    (trained.parent / "cache" / "encoder-1" / "encoder.json").unlink()
    with pytest.raises(InputError, match="prepare SPEC` builds it again"):
        align(trained, KEY, "bird", "ndege")


def test_the_transport_of_a_loss_is_the_loss_or_one_of_its_terms() -> None:
    own = OptimalTransport(solver=Sinkhorn(epsilon=0.3))
    assert transport_of(own) is own
    assert transport_of(WeightedSum(terms=(WeightedLoss(Greedy()), WeightedLoss(own, 2.0)))) is own
    assert transport_of(Greedy()) is None


def test_it_reports_characters_that_no_font_has(tmp_path: Path) -> None:
    plan = torch.eye(2) / 2
    for token, has_glyph in (("moyo", True), ("\U00016a40", False)):  # a letter of Mro
        sides = [Alignment(stage, (token, "b"), ("heart", "b"), plan, 0.1, 0.9) for stage in ("before", "after")]
        comparison = Comparison(KEY, "heart b", f"{token} b", OptimalTransport(), OptimalTransport(), *sides)
        saved = save_comparison(comparison, tmp_path, "pair")
        assert saved.has_all_glyphs is has_glyph
        assert read_json(saved.paths[0])["tokens"] == [token, "b"]
