"""Compare the speed and the plans of the Sinkhorn solver with those of POT, GeomLoss and OTT-JAX.

    python experiments/benchmarks/sinkhorn.py [--repeats 7] [--threads N] [--only NAME] [--json FILE]

Measures on the CPU and, if there is one, on the GPU. All solvers run 50 iterations on the same ragged problems: cosine
costs of random unit vectors in float32, with lengths uniform between a quarter of the longest and the longest. Solvers
take turns within each repeat, so that a ratio compares measurements close in time; the table shows medians, smallest
and largest. GeomLoss and OTT-JAX are measured if they are installed. ``difference`` is the largest
|plan - POT's plan in float64 after the same 50 iterations|. GeomLoss averages its two half-iterations and anneals
epsilon, so its iterates differ until they converge.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import ot
import torch
from ot.batch import solve_batch
from torch import Tensor
from torch.nn import functional

from optical_ray.ot.entropic import solve
from optical_ray.ot.solvers.sinkhorn import Sinkhorn

ITERATIONS = 50


@dataclass(frozen=True)
class Problem:
    """A ragged batch: padded costs (B, M, N), weights that are zero at padding, and true lengths."""

    x: Tensor
    y: Tensor
    cost: Tensor
    a: Tensor
    b: Tensor
    rows: list[int]
    columns: list[int]
    epsilon: float


def draw(pairs: int, length: int, epsilon: float, device: str, dim: int = 128) -> Problem:
    """``pairs`` problems of up to ``length`` x ``length`` tokens."""
    generator = torch.Generator().manual_seed(0)
    sides = []
    for _ in range(2):
        lengths = torch.randint(max(length // 4, 1), length + 1, (pairs,), generator=generator)
        lengths[0] = length
        mask = torch.arange(length) < lengths[:, None]
        vectors = functional.normalize(torch.randn(pairs, length, dim, generator=generator), dim=-1)
        sides.append((vectors * mask[:, :, None], mask / lengths[:, None], lengths.tolist()))
    (x, a, rows), (y, b, columns) = sides
    cost = 1 - x @ y.transpose(1, 2)
    x, y, cost, a, b = (tensor.to(device) for tensor in (x, y, cost, a, b))
    return Problem(x, y, cost, a, b, rows, columns, epsilon)


def ours(problem: Problem, backend: Literal["auto", "scaling"]) -> Callable[[], Tensor]:
    solver = Sinkhorn(epsilon=problem.epsilon, max_iterations=ITERATIONS, threshold=0.0)
    return lambda: solve(problem.cost, problem.a, problem.b, solver, backend=backend).plan


def pot_batch(problem: Problem, method: str) -> Callable[[], Tensor]:
    """POT's batched solver starts with the rows, so it gets the transpose; weights of 1e-30 stand for padding."""
    cost = problem.cost.transpose(1, 2).contiguous()
    a, b = problem.a.clamp_min(1e-30), problem.b.clamp_min(1e-30)
    arguments = {"max_iter": ITERATIONS, "tol": 0, "method": method, "grad": "detach"}
    return lambda: solve_batch(cost, problem.epsilon, b, a, **arguments).plan.transpose(1, 2)


def pot_loop(problem: Problem) -> Callable[[], Tensor]:
    """``ot.sinkhorn`` in NumPy and float64, one pair after another, without padding."""
    pairs = [
        (a[:m].double().numpy(), b[:n].double().numpy(), cost[:m, :n].double().numpy())
        for a, b, cost, m, n in zip(
            problem.a.cpu(), problem.b.cpu(), problem.cost.cpu(), problem.rows, problem.columns, strict=True
        )
    ]
    plan = torch.zeros(problem.cost.shape, dtype=torch.float64)

    def run() -> Tensor:
        for pair, (a, b, cost) in enumerate(pairs):
            solved = ot.sinkhorn(a, b, cost, problem.epsilon, numItermax=ITERATIONS, stopThr=0, warn=False)
            plan[pair, : len(a), : len(b)] = torch.from_numpy(np.asarray(solved))
        return plan

    return run


def geomloss(problem: Problem) -> Callable[[], Tensor]:
    """GeomLoss' batched solver over cost matrices."""
    from geomloss.ot import solve_batch as geomloss_batch

    a, b = problem.a.clamp_min(1e-30), problem.b.clamp_min(1e-30)
    return lambda: geomloss_batch(problem.cost, reg=problem.epsilon, a=a, b=b, max_iter=ITERATIONS).plan


def ott(problem: Problem) -> Callable[[], Tensor]:
    """OTT-JAX, vectorised over pairs and compiled, in its scaling mode."""
    import jax
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn as OttSinkhorn

    solver = OttSinkhorn(
        lse_mode=problem.epsilon < 0.05,  # its scaling mode underflows float32 below that
        threshold=-1.0,
        min_iterations=ITERATIONS,
        max_iterations=ITERATIONS,
        inner_iterations=ITERATIONS,
    )

    def one(cost, a, b):  # type: ignore[no-untyped-def]
        return solver(LinearProblem(Geometry(cost_matrix=cost, epsilon=problem.epsilon), a, b)).matrix

    compiled = jax.jit(jax.vmap(one))
    arrays = [jax.numpy.asarray(tensor.cpu().numpy()) for tensor in (problem.cost, problem.a, problem.b)]
    return lambda: torch.from_numpy(np.array(compiled(*arrays).block_until_ready()))


def solvers(problem: Problem) -> dict[str, Callable[[], Tensor]]:
    """The solvers that can solve ``problem`` on this machine; the first is ours."""
    available = {"optical_ray": ours(problem, "auto")}
    if problem.cost.is_cuda:
        available["optical_ray (torch)"] = ours(problem, "scaling")
    available["POT ot.batch"] = pot_batch(problem, "log_sinkhorn")
    available["POT ot.batch, exp domain"] = pot_batch(problem, "sinkhorn")
    if not problem.cost.is_cuda:
        available["POT loop"] = pot_loop(problem)
    if importlib.util.find_spec("geomloss"):
        available["GeomLoss"] = geomloss(problem)
    if importlib.util.find_spec("ott") and not problem.cost.is_cuda:
        available["OTT-JAX"] = ott(problem)
    return available


def seconds(run: Callable[[], Tensor], problem: Problem) -> float:
    """Time per call, averaged over about 50 ms of calls."""
    calls = 0
    start = time.perf_counter()
    while calls == 0 or (time.perf_counter() - start < 0.05 and calls < 100):
        run()
        if problem.cost.is_cuda:
            torch.cuda.synchronize()
        calls += 1
    return (time.perf_counter() - start) / calls


def measure(name: str, problem: Problem, repeats: int) -> list[dict[str, float | str]]:
    """Measure all solvers on one problem and print the table."""
    runs = solvers(problem)
    reference = pot_loop(problem)()
    differences = {solver: float((run().cpu().double() - reference).abs().max()) for solver, run in runs.items()}
    times: dict[str, list[float]] = {solver: [] for solver in runs}
    for _ in range(repeats):
        for solver, run in runs.items():
            times[solver].append(seconds(run, problem))
    print(f"\n{name}, {ITERATIONS} iterations, epsilon {problem.epsilon}, {repeats} repeats")
    print(f"{'':26} {'ms: median':>10} {'min':>8} {'max':>8}   {'times ours':>10} {'min':>7} {'max':>7}   difference")
    rows: list[dict[str, float | str]] = []
    for solver, taken in times.items():
        ratios = [theirs / mine for theirs, mine in zip(taken, times["optical_ray"], strict=True)]
        row: dict[str, float | str] = {
            "problem": name,
            "epsilon": problem.epsilon,
            "solver": solver,
            "ms": 1e3 * statistics.median(taken),
            "ms_min": 1e3 * min(taken),
            "ms_max": 1e3 * max(taken),
            "ratio": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "difference": differences[solver],
        }
        rows.append(row)
        print(
            f"{solver:26} {row['ms']:10.2f} {row['ms_min']:8.2f} {row['ms_max']:8.2f}   "
            f"{row['ratio']:10.1f} {row['ratio_min']:7.1f} {row['ratio_max']:7.1f}   {row['difference']:.1e}",
            flush=True,
        )
    return rows


PROBLEMS = {
    "cpu 64 x 32 x 32": ("cpu", 64, 32),
    "cpu 256 x 180 x 180": ("cpu", 256, 180),
    "gpu 256 x 64 x 64": ("cuda", 256, 64),
    "gpu 256 x 180 x 180": ("cuda", 256, 180),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--only", choices=PROBLEMS, help="measure only this problem")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.1, 0.02])
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU, skipping the GPU problems"
    print(f"torch {torch.__version__}, POT {ot.__version__}, {platform.machine()}, {os.cpu_count()} CPUs, {gpu}")
    rows = []
    for name, (device, pairs, length) in PROBLEMS.items():
        if arguments.only not in (None, name) or (device == "cuda" and not torch.cuda.is_available()):
            continue
        for epsilon in arguments.epsilon:
            rows += measure(name, draw(pairs, length, epsilon, device), arguments.repeats)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
