"""Cooperative games of a study: which source sets were trained, and what each is worth per seed and topic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optical_ray.report.averages import averages, whole_settings
from optical_ray.report.load import SOURCES
from optical_ray.report.matrix import Matrix
from optical_ray.report.study import Study
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups
from optical_ray.statistics.seeds import SeedVariance
from optical_ray.statistics.shapley import Coalition, Share, Weights, efficiency_error, shares, weights
from optical_ray.statistics.significance import holm, sign_flip
from optical_ray.study.layout import UNDISTILLED


@dataclass(frozen=True)
class Game:
    """The game of one target; ``transfer`` games leave out its own language.

    ``values`` is S x R x T, English-only first. ``settings`` counts the configurations that each v(S) is averaged over
    (1: the one chosen on eval); ``left_out`` names settings that lack seeds and are not used. ``pooled`` is the seed
    variance of one row of a v(S), ``num_seeds`` the number of its seeds.
    """

    target: str
    variant: str
    transfer: bool
    players: tuple[str, ...]
    sets: tuple[Coalition, ...]
    values: FloatArray
    settings: int
    left_out: tuple[str, ...] = ()
    groups: Groups | None = None
    pooled: SeedVariance | None = None
    num_seeds: int = 1

    @property
    def missing(self) -> int:
        """How many sets of the complete lattice were not trained."""
        return int(2 ** len(self.players)) - len(self.sets)


@dataclass(frozen=True)
class Solution:
    """A solved game: ``values`` per language, ``pairs`` of languages; ``p_holm`` over all languages and targets."""

    game: Game
    weights: Weights
    values: tuple[Share, ...]
    pairs: tuple[Share, ...]
    efficiency_error: float
    p_holm: tuple[float, ...]


def games(study: Study, cells: Matrix) -> tuple[Game, ...]:
    """Return a game per target and variant, and a second one without the target's own language if it is a source."""
    known = []
    for variant in sorted({system.variant for system in study.systems}):
        for column, target in enumerate(study.targets):
            own = [name for name in study.languages if study.holds_own((name,), target)]
            for left_out in ([], own) if own else ([],):
                game = _game(study, cells, variant, column, tuple(left_out))
                if game is not None:
                    known.append(game)
    return tuple(known)


def _game(study: Study, cells: Matrix, variant: str, column: int, left_out: tuple[str, ...]) -> Game | None:
    target = study.targets[column]
    panel = study.test(target)
    members: dict[tuple[str, ...], dict[str, int]] = {}
    for index, system in enumerate(study.systems):
        if system.variant == variant and not set(system.sources) & set(left_out) and len(panel.present(index)):
            members.setdefault(system.sources, {})[_setting(system.params)] = index
    if not members:
        return None
    players = tuple(sorted({name for sources in members for name in sources}))
    common = set.intersection(*(set(settings) for settings in members.values()))
    incomplete: tuple[str, ...] = ()
    if study.info.mode == "estimate" and common:
        known_settings = {sources: {name: [index] for name, index in m.items()} for sources, m in members.items()}
        settings, incomplete = whole_settings(panel, known_settings, common)
        chosen = {sources: [known[setting] for setting in settings] for sources, known in members.items()}
    else:
        rows = {cells.sources[row]: row for row in range(len(cells.labels)) if _variant(study, cells, row) == variant}
        picked = {sources: int(cells.chosen[rows[sources], column]) for sources in members if sources in rows}
        chosen = {sources: [index] for sources, index in picked.items() if index >= 0}
    ordered = sorted(chosen, key=lambda sources: (len(sources), sources))
    means = averages(panel, [{index: 1 / len(chosen[sources]) for index in chosen[sources]} for sources in ordered])
    base = panel.baselines[UNDISTILLED]
    values = np.stack([np.broadcast_to(base, means.blocks[0].shape), *means.blocks])
    position = {name: index for index, name in enumerate(players)}
    sets = (frozenset[int](), *(frozenset(position[name] for name in sources) for sources in ordered))
    num_settings = max(len(indices) for indices in chosen.values())
    return Game(
        target,
        variant,
        bool(left_out),
        players,
        sets,
        values,
        num_settings,
        incomplete,
        panel.groups,
        means.pooled,
        means.num_seeds,
    )


def _setting(params: Mapping[str, Any]) -> str:
    others = {name.rsplit(".", 1)[-1]: value for name, value in params.items() if name != SOURCES}
    return json.dumps(others, sort_keys=True, default=str)


def _variant(study: Study, cells: Matrix, row: int) -> str:
    system = next((int(index) for index in cells.chosen[row] if index >= 0), None)
    return "" if system is None else study.systems[system].variant


def solve(unsolved_games: tuple[Game, ...]) -> tuple[tuple[Solution, ...], tuple[Game, ...]]:
    """Solve the games; those whose languages cannot be told apart come back unsolved."""
    solved: list[tuple[Game, Weights, tuple[Share, ...]]] = []
    unsolved: list[Game] = []
    for game in unsolved_games:
        table = weights(len(game.players), game.sets)
        if table is None:
            unsolved.append(game)
        else:
            names = [(name,) for name in game.players]
            solved.append((game, table, _shares(game, names, table.values)))
    adjusted = holm(_p_values(solved))
    solutions, start = [], 0
    for game, table, values in solved:
        stop = start + len(values)
        pairs = list(itertools.combinations(game.players, 2)) if len(table.pairs) else []
        full = frozenset(range(len(game.players)))
        error = (
            efficiency_error(table.values, game.values, game.sets.index(full)) if full in game.sets else float("nan")
        )
        interactions = _shares(game, pairs, table.pairs)
        solutions.append(Solution(game, table, values, interactions, error, tuple(adjusted[start:stop].tolist())))
        start = stop
    return tuple(solutions), tuple(unsolved)


def _shares(game: Game, names: list[Any], table: FloatArray) -> tuple[Share, ...]:
    return shares(names, table, game.values, groups=game.groups, pooled=game.pooled, num_seeds=game.num_seeds)


def _p_values(solved: list[tuple[Game, Weights, tuple[Share, ...]]]) -> FloatArray:
    """The sign-flip p of every share, in order; games on the same topics share their random patterns."""
    p_values = np.empty(sum(len(values) for _, _, values in solved))
    starts = np.cumsum([0, *(len(values) for _, _, values in solved)])
    for target in dict.fromkeys(game.target for game, _, _ in solved):
        indices = [index for index, (game, _, _) in enumerate(solved) if game.target == target]
        rows = np.stack([share.per_topic for index in indices for share in solved[index][2]])
        positions = np.concatenate([np.arange(starts[index], starts[index + 1]) for index in indices])
        p_values[positions] = sign_flip(rows, solved[indices[0]][0].groups)
    return p_values
