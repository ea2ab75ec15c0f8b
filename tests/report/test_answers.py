"""What the sentences and tables of a report state, on studies whose truth is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optical_ray.report import load_study, write_report
from optical_ray.report.comparisons import compare
from optical_ray.report.games import games, solve
from optical_ray.report.headlines import headlines
from optical_ray.report.limits import missing_parts
from optical_ray.report.matrix import matrix
from optical_ray.report.sections.answer import answer_section
from optical_ray.report.study import Study
from optical_ray.statistics.groups import Groups
from optical_ray.statistics.significance import sign_flip
from optical_ray.study.files import read_json, write_json
from optical_ray.study.info import StudyInfo
from tests.report.planted import Planted, plant, write_study

SIZES = (12, 8, 5, 5, 3, 2, 1, 1, 1, 1, 1)
GROUPED = Planted(
    {"de": {"th": 0.0, "mr": 0.0}, "hi": {"th": 0.0, "mr": 0.3}},
    num_topics=sum(SIZES),
    group_sizes=SIZES,
    group_correlation=0.5,
)


# ---- groups of topics


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    """A study whose topics are in groups."""
    write_study(tmp_path / "grouped", GROUPED, texts=True)
    return tmp_path / "grouped"


def test_groups_are_read_and_flipped_as_a_whole(grouped: Path) -> None:
    study = load_study(grouped)
    panel = study.test("mr")
    assert panel.groups is not None
    assert sorted(panel.groups.sizes.tolist(), reverse=True) == list(SIZES)
    cells = matrix(study)
    family = compare(study, cells)
    for item in family:
        differences = study.test(item.target).present(item.system).mean(axis=0)
        differences = differences - study.test(item.target).baselines["undistilled"]
        expected = sign_flip(differences, Groups(np.repeat(np.arange(len(SIZES)), SIZES)))[0]
        assert item.p == pytest.approx(expected)
        assert item.interval.num_groups == len(SIZES)


def test_the_report_states_the_effective_number_of_groups(grouped: Path) -> None:
    result = write_report(grouped)
    effective = sum(SIZES) ** 2 / sum(size**2 for size in SIZES)
    size = f"40 topics in 11 groups, {effective:.1f} effective"
    assert all(size in answer for answer in result.headlines)
    assert size in result.page.read_text(encoding="utf-8")
    wins = pq.read_table(result.page.parent / "wins.parquet").to_pylist()
    assert all(row["groups_won"] + row["groups_lost"] <= 11 for row in wins)
    comparisons = pq.read_table(result.page.parent / "comparisons.parquet").to_pylist()
    assert {row["groups"] for row in comparisons} == {11}


def test_shapley_tests_use_groups(grouped: Path) -> None:
    study = load_study(grouped)
    solutions, _ = solve(games(study, matrix(study)))
    for solution in solutions:
        assert solution.game.groups is study.test(solution.game.target).groups
        assert all(share.interval.num_groups == 11 for share in solution.values)


def test_topics_without_a_group_are_groups_of_their_own(grouped: Path) -> None:
    path = grouped / "topics.parquet"
    table = pq.read_table(path).to_pylist()
    rows = [{**row, "group": None if row["topic_id"] == "t0" else row["group"]} for row in table]
    pq.write_table(pa.Table.from_pylist(rows), path)
    groups = load_study(grouped).test("mr").groups
    assert groups is not None
    assert groups.num_groups == 12


def test_null_groups_are_no_groups(lattice: Path) -> None:
    assert load_study(lattice).test("sw").groups is None


# ---- seeds


def test_failed_trials_do_not_make_it_one_seed(lattice: Path) -> None:
    """Three of 42 trials fail, each of another seed and set: whole settings are used, the others are named."""
    failed: set[str] = set()
    for path in sorted((lattice / "trials").glob("*/trial.json")):
        record = read_json(path)
        epsilon, seed = record["params"]["loss.solver.epsilon"], record["seed"]
        if epsilon == 0.1 and len(failed) == seed and record["params"]["data.source_languages"] not in failed:
            failed.add(record["params"]["data.source_languages"])
            write_json(path, {**record, "state": "FAIL", "error": "CUDA out of memory"})
    assert len(failed) == 3
    study = load_study(lattice)
    solutions, _ = solve(games(study, matrix(study)))
    assert {share.interval.num_seeds for solution in solutions for share in solution.values} == {3}
    result = write_report(lattice)
    page = result.page.read_text(encoding="utf-8")
    assert not re.search(r"One seed|, one seed|\b1 seed\b", page)
    assert "Settings left out because a set lacks a seed" in page
    assert "Left out of the curves because a seed is missing at some value" in page


def test_seeds_that_no_two_sets_share_are_averaged(tmp_path: Path) -> None:
    """With one setting, a set that lacks a seed leaves no shared seeds; the mean over seeds and the pool remain."""
    study = plant(Planted({name: {"sw": 0.05} for name in "abc"}, num_topics=40, seed_sd=0.01, max_size=1))
    panels = {}
    for key, panel in study.panels.items():
        values = panel.values.copy()
        for index in range(3):
            values[index, index] = np.nan
        panels[key] = replace(panel, values=values)
    solutions, _ = solve(games(replace(study, panels=panels), matrix(replace(study, panels=panels))))
    interval = solutions[0].values[0].interval
    assert interval.across_seeds
    assert interval.num_seeds == 2


def test_controls_carry_their_seeds(lattice: Path) -> None:
    study = load_study(lattice)
    cells = matrix(study)
    only = {("mr", "hi")}
    [with_seeds] = compare(study, cells, baseline="en", only=only)
    panels = {key: replace(panel, control_runs={}) for key, panel in study.panels.items()}
    [without] = compare(replace(study, panels=panels), cells, baseline="en", only=only)
    assert with_seeds.interval.parts.seeds > without.interval.parts.seeds
    assert "p_seeds" in pq.read_table(write_report(lattice).page.parent / "controls.parquet").column_names


def test_unequal_seed_variances_are_reported(tmp_path: Path) -> None:
    study = plant(Planted({name: {"sw": 0.0} for name in "abc"}, num_topics=40, num_seeds=5, noise_sd=0.01))
    panels = {}
    for key, panel in study.panels.items():
        values = panel.values.copy()
        values[0] += np.array([-1.0, -0.9, 0.0, 0.9, 1.0])[:, None]
        panels[key] = replace(panel, values=values)
    write_study(tmp_path / "study", Planted({"a": {"sw": 0.0}}, num_topics=5))
    changed = replace(study, panels=panels, folder=tmp_path / "study")
    limits = missing_parts(changed, compare(changed, matrix(changed), num_resamples=99))
    assert any("the variance between seeds differs between systems (Brown-Forsythe" in limit for limit in limits)


# ---- what a design can show


@pytest.mark.parametrize(("num_topics", "sizes"), [(1, None), (2, None), (10, (10,)), (10, (9, 1))])
def test_few_topics_or_groups_never_print_nan(num_topics: int, sizes: tuple[int, ...] | None, tmp_path: Path) -> None:
    planted = Planted({"de": {"sw": 0.1}, "hi": {"sw": 0.2}}, num_topics=num_topics, group_sizes=sizes)
    write_study(tmp_path / "study", planted, controls=True, texts=True)
    result = write_report(tmp_path / "study")
    page = result.page.read_text(encoding="utf-8")
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"\bnan\b", " ".join([text, *result.headlines, *result.missing]), re.IGNORECASE)
    assert all("the design cannot show" in answer for answer in result.headlines)
    assert any("no difference can be significant" in limit for limit in result.missing)


def test_a_family_beyond_the_tests_resolution_is_reported() -> None:
    study = plant(Planted({name: {"sw": 0.5} for name in "abcdef"}, num_topics=10, num_seeds=1))
    cells = matrix(study)
    family = compare(study, cells)
    assert not any(item.significant for item in family)
    assert all(np.isinf(item.effect.detectable) for item in family)
    [answer] = headlines(study, cells, family)
    assert "the design cannot show that a set helps (10 topics, 63 tests)" in answer.sentence


def test_the_detectable_difference_is_that_of_the_corrected_test() -> None:
    study = plant(Planted({"de": {"sw": 0.0, "mr": 0.0}, "hi": {"sw": 0.0, "mr": 0.0}}, num_topics=200))
    for item in compare(study, matrix(study), num_resamples=999):
        error = (item.interval.high - item.interval.low) / 2 / 1.97
        assert item.effect.detectable > 3.3 * error * 0.8
        assert item.detectable_seeds > 0


# ---- sentences


def answers_of(planted: Planted, **changes: object) -> tuple[Study, tuple[object, ...]]:
    study = replace(plant(planted), **changes) if changes else plant(planted)
    cells = matrix(study)
    return study, headlines(study, cells, compare(study, cells, num_resamples=4999))


def test_a_harmful_set_is_no_sure_gain() -> None:
    study, answers = answers_of(Planted({"de": {"ha": -0.2}, "hi": {"ha": -0.1}}, num_topics=100))
    [answer] = answers
    assert answer.sentence.startswith(
        "Hausa (ha): no set helps; stay with English-only; Hindi (hi) bitext, chosen on eval, hurts: −0."
    )
    [card] = answer_section(study, answers).cards
    assert card.tone == "harm"
    assert "hurts" in card.badge


def test_no_gain_is_stated_with_the_gap_to_the_best_on_test() -> None:
    _, [answer] = answers_of(Planted({"de": {"ha": 0.0}, "hi": {"ha": 0.0}}, num_topics=100))
    assert answer.sentence == "Hausa (ha): no set helps; stay with English-only"
    assert "best set on test" in answer.evidence
    assert "minimum detectable difference 0." in answer.evidence


def test_best_over_all_targets_names_the_sets_it_is_chosen_from() -> None:
    effects = {"de": {"sw": 0.0, "mr": 0.3}, "mr": {"sw": 0.0, "mr": 0.4}, "hi": {"sw": 0.2, "mr": 0.0}}
    _, answers = answers_of(Planted(effects, num_topics=100))
    assert all("of 7 sets over all 2 targets" in answer.evidence for answer in answers if answer.kind == "any")
    transfer = next(answer for answer in answers if answer.kind == "transfer")
    assert "of 3 sets over all 2 targets on eval without Marathi" in transfer.evidence


def test_supervision_is_by_language_and_not_by_spelling() -> None:
    planted = Planted({"de": {"news": 0.0, "de": 0.1}, "swh_Latn": {"news": 0.3, "de": 0.0}}, num_topics=50)
    study = plant(planted)
    collections = {"news": {"kind": "jsonl", "language": "sw-KE"}, "de": {"kind": "jsonl", "language": "fr"}}
    info = replace(study.info, experiment={**study.info.experiment, "data": {"collections": collections}})
    study = replace(study, info=info)
    assert study.holds_own(("swh_Latn",), "news")
    assert not study.holds_own(("de",), "de")  # the collection is called "de" and its language is French
    assert study.target_labels == {"news": "Swahili (sw-KE, news)", "de": "French (fr, de)"}


def test_unknown_language_codes_are_reported(tmp_path: Path) -> None:
    write_study(tmp_path / "study", Planted({"elvish": {"sw": 0.1}}, num_topics=20))
    limits = write_report(tmp_path / "study").missing
    assert any("No standard knows the language codes elvish" in limit for limit in limits)


def test_targets_keep_the_order_of_the_spec(lattice: Path) -> None:
    info = StudyInfo.read(lattice)
    replace(info, targets=("yo", "sw", "mr")).write(lattice)
    assert load_study(lattice).targets == ("yo", "sw", "mr")


def test_the_relevance_level_is_part_of_the_measure(quick: Path) -> None:
    info = StudyInfo.read(quick)
    levels = {
        target: {"test": {"topics": 40, "documents": 9, "dropped": {}, "truncated": {}, "relevance_level": 2}}
        for target in info.targets
    }
    replace(info, data={"collections": levels}).write(quick)
    result = write_report(quick)
    assert load_study(quick).measure == "mean AP(rel=2)"
    assert all("AP(rel=2)" in answer for answer in result.headlines)
    assert "MAP" not in re.sub("MAP is the mean of", "", result.headlines[0])


def test_a_set_that_helps_but_was_not_chosen_is_named() -> None:
    """On eval "de" looks best, on test only "hi" helps."""
    study = plant(Planted({"de": {"ha": 0.0}, "hi": {"ha": 0.2}}, num_topics=100, max_size=1))
    panel = study.panels["eval", "ha"]
    values = panel.values.copy()
    values[0] += 1.0
    study = replace(study, panels={**study.panels, ("eval", "ha"): replace(panel, values=values)})
    cells = matrix(study)
    [answer] = headlines(study, cells, compare(study, cells, num_resamples=4999))
    assert not answer.helps
    assert answer.any_helps
    assert re.fullmatch(
        r"German \(de\) bitext, chosen on eval, has no significant effect on Hausa \(ha\) \(.0\.\d{3} MAP, p = .*\), "
        r"but Hindi \(hi\) bitext helps \(\+0\.\d{3}\)",
        answer.sentence,
    )
