"""A space chooses among solvers, each with its own dimensions."""

from __future__ import annotations

from typing import Any

import pytest

from optical_ray.config.load import check_corners, from_dict, with_params
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.ot.solvers.exact import Exact
from optical_ray.ot.solvers.ipot import Ipot
from optical_ray.types import InputError

EPSILON = "loss.solver.epsilon"


def test_a_solver_is_chosen_with_its_own_dimensions(raw: dict[str, Any]) -> None:
    beta = {"kind": "float", "low": 0.1, "high": 0.5}
    raw["space"] = {"loss.solver": {"kind": "choice", "of": [{"kind": "exact"}, {"kind": "ipot", "beta": beta}]}}
    experiment = from_dict(raw)
    check_corners(experiment)
    assert with_params(experiment, {"loss.solver": "exact"}).loss == OptimalTransport(solver=Exact())
    trial = with_params(experiment, {"loss.solver": "ipot", "loss.solver.beta": 0.2})
    assert trial.loss == OptimalTransport(solver=Ipot(beta=0.2))
    raw["space"][EPSILON] = {"kind": "float", "low": 0.1, "high": 0.5}
    with pytest.raises(InputError, match=r"space\.loss\.solver\.epsilon: the trial has no 'epsilon' there"):
        check_corners(from_dict(raw))
