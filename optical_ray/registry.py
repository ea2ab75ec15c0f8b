"""The kinds that a spec can choose from: one class per file, found by walking a package."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, cast

T = TypeVar("T")


class Configurable:
    """Base of every dataclass in a spec; pydantic refuses keys that are not fields."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def members(package: str, base: type[T]) -> dict[str, type[T]]:
    """Find every dataclass of ``package`` that derives from ``base`` and has a ``kind``; sorted by kind.

    Raises ``RuntimeError`` if two classes have the same kind.
    """
    classes: dict[str, type[T]] = {}
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        module = importlib.import_module(info.name)
        for member in vars(module).values():
            if not (isinstance(member, type) and issubclass(member, base) and is_dataclass(member)):
                continue
            if member.__module__ != info.name:
                continue
            kind = next((f.default for f in fields(member) if f.name == "kind"), None)
            if not isinstance(kind, str):
                continue
            if kind in classes:
                raise RuntimeError(f"{package}: kind {kind!r} is used by {classes[kind]} and {member}")
            classes[kind] = cast(type[T], member)
    return dict(sorted(classes.items()))


@dataclass(frozen=True)
class AnyOf:
    """Annotation for a field that holds any member of ``package``: ``Annotated[Base, AnyOf("a.package", Base)]``.

    pydantic selects the member by its ``kind``. ``without`` names kinds that the field does not accept.
    """

    package: str
    base: type[Any]
    without: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """Describe the field to pydantic as a plain dictionary, so that this file does not import it."""
        kinds = members(self.package, self.base)
        choices = {kind: handler.generate_schema(kinds[kind]) for kind in kinds if kind not in self.without}
        return {"type": "tagged-union", "discriminator": "kind", "choices": choices}
