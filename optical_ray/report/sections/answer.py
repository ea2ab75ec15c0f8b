"""The first chapter: the answer for each target."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from optical_ray.report.headlines import COMMON, Headline
from optical_ray.report.page import Card, Section
from optical_ray.report.study import Study
from optical_ray.report.tables import signed


def answer_section(study: Study, answers: Sequence[Headline]) -> Section:
    """Return the headlines as cards."""
    return Section("answers", "The answer", (COMMON,), cards=tuple(_card(study, answer) for answer in answers))


def _card(study: Study, answer: Headline) -> Card:
    item = answer.comparison
    if item.significant and item.gain < 0:
        tone, badge = "harm", "the chosen set hurts"
    elif item.robust:
        tone, badge = "sure", "significant, also across seeds"
    elif item.significant:
        tone, badge = "seeds", "significant for these seeds" if item.interval.across_seeds else "significant, one seed"
    else:
        tone, badge = "flat", "not significant"
    if item.own:
        badge += " · supervision"
    bounds = f" [{signed(item.interval.low)}, {signed(item.interval.high)}]" if not isnan(item.interval.low) else ""
    figure = f"{study.set_labels[item.label]}: {signed(item.gain)} {study.measure}{bounds}"
    return Card(answer.target, answer.sentence, figure, answer.evidence, badge, tone)
