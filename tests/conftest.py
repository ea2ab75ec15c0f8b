"""Every tensor signature of the mathematics is checked while the tests run: shapes by jaxtyping, types by beartype."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from optical_ray.config.experiment import Experiment
    from optical_ray.prepare.text import Preparation

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests' tensors are small: threads that wait for each other cost more

# run by the interpreters of other packages' environments, never by this one
collect_ignore_glob = ["system/export_probes/*"]

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernel is imported, by whichever test is first

# Triton compiles the source of its programs: those are left as they are
OT = Path(__file__).parents[1] / "optical_ray/ot"
TRANSPORT = [f"optical_ray.ot.{file.stem}" for file in OT.glob("*.py")] + ["optical_ray.ot.solvers"]
install_import_hook(
    [name for name in TRANSPORT if not name.endswith((".kernel", "__init__"))]
    + ["optical_ray.retrieval", "optical_ray.losses", "optical_ray.encoders"],
    "beartype.beartype",
)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray cluster for all tests: two on a machine confuse Ray Train's cleaning up."""
    import ray

    variables = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    ray.init(address="local", num_cpus=3, include_dashboard=True, log_to_driver=False)
    yield
    ray.shutdown()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The tiny study: two collections, three source languages, eight steps."""
    from optical_ray.config.load import from_dict
    from tests import tiny_study

    return from_dict(tiny_study.spec(tiny_study.write_data(tmp_path_factory.mktemp("data") / "tiny")))


@pytest.fixture(scope="session")
def prepared(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Preparation:
    """Its teacher, pieces, embeddings and collections."""
    from tests import tiny_study

    return tiny_study.prepare(experiment, tmp_path_factory.mktemp("storage"))
