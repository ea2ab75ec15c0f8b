"""From a study to its games: which source sets were trained, and what each is worth per seed and topic."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

import numpy as np

from optical_ray.analysis.effects import Matrix
from optical_ray.analysis.load import SOURCES
from optical_ray.analysis.shapley import Coalition, Share, Weights, efficiency_error, shares, weights
from optical_ray.analysis.significance import holm, sign_flip
from optical_ray.analysis.study import ENGLISH_ONLY, FloatArray, Study


@dataclass(frozen=True)
class Game:
    """One target's game. ``transfer``: without the target's own language. ``values`` is S x R x T, English-only first.

    ``settings`` counts the configurations that each v(S) is averaged over (1: the one chosen on eval).
    """

    target: str
    variant: str
    transfer: bool
    players: tuple[str, ...]
    sets: tuple[Coalition, ...]
    values: FloatArray
    settings: int

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
    """A game per target and variant; a second one without the target's own language where that is a player."""
    found = []
    for variant in sorted({system.variant for system in study.systems}):
        for column, target in enumerate(study.targets):
            own = [name for name in study.languages if study.holds_own((name,), target)]
            for left_out in ([], own) if own else ([],):
                game = _game(study, cells, variant, column, tuple(left_out))
                if game is not None:
                    found.append(game)
    return tuple(found)


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
    common = set.intersection(*(set(found) for found in members.values()))
    if study.mode == "estimate" and common:
        chosen = {sources: [found[setting] for setting in sorted(common)] for sources, found in members.items()}
    else:
        rows = {cells.sources[row]: row for row in range(len(cells.labels)) if _variant(study, cells, row) == variant}
        picked = {sources: int(cells.chosen[rows[sources], column]) for sources in members if sources in rows}
        chosen = {sources: [index] for sources, index in picked.items() if index >= 0}
    ordered = sorted(chosen, key=lambda sources: (len(sources), sources))
    runs = [panel.values[chosen[sources]].mean(axis=0) for sources in ordered]
    shared = ~np.isnan(np.stack(runs)).any(axis=(0, 2))
    if shared.any():
        blocks = [run[shared] for run in runs]
    else:
        blocks = [
            np.mean([panel.present(index).mean(axis=0) for index in chosen[sources]], axis=0)[None, :]
            for sources in ordered
        ]
    base = panel.baselines[ENGLISH_ONLY]
    values = np.stack([np.broadcast_to(base, blocks[0].shape), *blocks])
    place = {name: index for index, name in enumerate(players)}
    sets = (frozenset[int](), *(frozenset(place[name] for name in sources) for sources in ordered))
    settings = max(len(found) for found in chosen.values())
    return Game(target, variant, bool(left_out), players, sets, values, settings)


def _setting(params: object) -> str:
    assert isinstance(params, dict)
    return json.dumps({name: value for name, value in params.items() if name != SOURCES}, sort_keys=True, default=str)


def _variant(study: Study, cells: Matrix, row: int) -> str:
    found = next((int(index) for index in cells.chosen[row] if index >= 0), None)
    return "" if found is None else study.systems[found].variant


def _p_values(solved: list[tuple[Game, Weights, tuple[Share, ...]]]) -> FloatArray:
    """Sign-flip p of every share, in order; games on the same topics are drawn together."""
    p_values = np.empty(sum(len(values) for _, _, values in solved))
    starts = np.cumsum([0, *(len(values) for _, _, values in solved)])
    for target in dict.fromkeys(game.target for game, _, _ in solved):
        places = [place for place, (game, _, _) in enumerate(solved) if game.target == target]
        rows = np.stack([share.per_topic for place in places for share in solved[place][2]])
        seats = np.concatenate([np.arange(starts[place], starts[place + 1]) for place in places])
        p_values[seats] = sign_flip(rows)
    return p_values


def solve(found: tuple[Game, ...]) -> tuple[tuple[Solution, ...], tuple[Game, ...]]:
    """Solve the games; those whose languages cannot be told apart come back unsolved."""
    solved: list[tuple[Game, Weights, tuple[Share, ...]]] = []
    unsolved: list[Game] = []
    for game in found:
        table = weights(len(game.players), game.sets)
        if table is None:
            unsolved.append(game)
        else:
            solved.append((game, table, shares([(name,) for name in game.players], table.values, game.values)))
    adjusted = holm(_p_values(solved))
    solutions, start = [], 0
    for game, table, values in solved:
        stop = start + len(values)
        names = list(itertools.combinations(game.players, 2)) if len(table.pairs) else []
        pairs = shares(names, table.pairs, game.values)
        full = frozenset(range(len(game.players)))
        error = (
            efficiency_error(table.values, game.values, game.sets.index(full)) if full in game.sets else float("nan")
        )
        solutions.append(Solution(game, table, values, pairs, error, tuple(adjusted[start:stop].tolist())))
        start = stop
    return tuple(solutions), tuple(unsolved)
