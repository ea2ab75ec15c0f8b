"""Which source languages help which low-resource target: optimal-transport distillation, swept with Ray.

The public functions are imported when they are first used: ``import optical_ray`` loads neither torch nor Ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optical_ray.api import run_study
    from optical_ray.ot.sinkhorn import sinkhorn
    from optical_ray.report.load import load_study
    from optical_ray.statistics.pairwise import significance

    __version__: str

__all__ = ["__version__", "load_study", "run_study", "significance", "sinkhorn"]

_MODULES = {
    "load_study": "optical_ray.report.load",
    "run_study": "optical_ray.api",
    "significance": "optical_ray.statistics.pairwise",
    "sinkhorn": "optical_ray.ot.sinkhorn",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("optical-ray")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
