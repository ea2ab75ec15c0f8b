"""YAML with unique keys."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

from optical_ray.types import InputError

MAX_MESSAGE = 300
MERGE_TAG = "tag:yaml.org,2002:merge"


def parse_yaml(text: str, where: str) -> Any:
    """Parse ``text``; plain YAML would silently use the last of several equal keys, which this refuses.

    Raises ``InputError``, beginning with ``where``, if ``text`` is not YAML or a mapping has a key twice.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except _DuplicateKeyError as error:
        raise InputError(f"{where}: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{where}: not YAML: {' '.join(str(error).split())[:MAX_MESSAGE]}") from error


class _DuplicateKeyError(yaml.YAMLError):
    """A mapping has the same key twice."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Checks the keys as they are written, before ``<<`` merges those of other mappings, which may be overridden."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag == MERGE_TAG:
                continue
            identity, line = (key.tag, key.value), key.start_mark.line + 1
            if identity in lines:
                raise _DuplicateKeyError(
                    f"line {line}: key {key.value[:100]!r} occurs twice in a block (first in line {lines[identity]}). "
                    "Remove one of them."
                )
            lines[identity] = line
        return node
